//! Times without a time zone database: UTC dates, ISO 8601 texts, durations.

/// A moment as a person reads it, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    /// Year.
    pub year: i64,
    /// 1 to 12.
    pub month: i64,
    /// 1 to 31.
    pub day: i64,
    /// 0 to 23.
    pub hour: i64,
    /// 0 to 59.
    pub minute: i64,
    /// 0 to 59.
    pub second: i64,
    /// 0 to 999.
    pub millis: i64,
}

const DAY_MS: i64 = 86_400_000;

/// The date and time of milliseconds since 1970.
pub const fn civil(millis: i64) -> Civil {
    let days = millis.div_euclid(DAY_MS);
    let rest = millis.rem_euclid(DAY_MS);
    // Days since 0000-03-01: a year that begins in March has its leap day at the end.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    Civil {
        year: year_of_era + era * 400 + if month <= 2 { 1 } else { 0 },
        month,
        day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
        hour: rest / 3_600_000,
        minute: rest / 60_000 % 60,
        second: rest / 1000 % 60,
        millis: rest % 1000,
    }
}

/// Milliseconds since 1970 of a UTC date and time.
pub const fn millis_of(t: &Civil) -> i64 {
    let year = if t.month <= 2 { t.year - 1 } else { t.year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (t.month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + t.day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    days * DAY_MS + t.hour * 3_600_000 + t.minute * 60_000 + t.second * 1000 + t.millis
}

/// Reads `2026-11-21`, `2026-11-21T09:00`, with seconds and fractions, and with `Z`, `+09:00` or
/// `+0900` behind; UTC without. A space may stand for the T.
pub fn parse_datetime(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, ""));
    let mut date = date.splitn(3, '-');
    let (year, month, day) = (digits(date.next()?)?, digits(date.next()?)?, digits(date.next()?)?);
    let (time, zone) = match time.find(['Z', '+', '-']) {
        Some(at) => time.split_at(at),
        None => (time, ""),
    };
    let mut t = Civil { year, month, day, hour: 0, minute: 0, second: 0, millis: 0 };
    if !time.is_empty() {
        let mut parts = time.splitn(3, ':');
        t.hour = digits(parts.next()?)?;
        t.minute = digits(parts.next()?)?;
        let seconds = parts.next().unwrap_or("0");
        let (whole, fraction) = seconds.split_once(['.', ',']).unwrap_or((seconds, ""));
        t.second = digits(whole)?;
        let padded: String = fraction.chars().chain("000".chars()).take(3).collect();
        t.millis = digits(&padded)?;
    }
    let valid = (1..=12).contains(&t.month)
        && (1..=31).contains(&t.day)
        && t.hour < 24
        && t.minute < 60
        && t.second < 61;
    valid.then_some(())?;
    Some(millis_of(&t) - zone_millis(zone)?)
}

fn zone_millis(zone: &str) -> Option<i64> {
    if zone.is_empty() || zone == "Z" {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let bare: String = zone[1..].chars().filter(|c| *c != ':').collect();
    let (hours, minutes) = if bare.len() > 2 { bare.split_at(2) } else { (bare.as_str(), "0") };
    Some(sign * (digits(hours)? * 3_600_000 + digits(minutes)? * 60_000))
}

/// Reads an ISO 8601 duration as Java's `Duration` does: `PT1H30M`, `P2DT3.5S`, `-PT5M`.
pub fn parse_iso_duration(text: &str) -> Option<i64> {
    let upper = text.to_ascii_uppercase();
    let (sign, body) = match upper.strip_prefix('-') {
        Some(body) => (-1, body),
        None => (1, upper.as_str()),
    };
    let body = body.strip_prefix('P')?;
    let (days, time) = body.split_once('T').unwrap_or((body, ""));
    let mut total = 0.0;
    let mut any = false;
    for (part, units) in
        [(days, &[('D', 86_400.0)][..]), (time, &[('H', 3600.0), ('M', 60.0), ('S', 1.0)])]
    {
        let mut rest = part;
        while !rest.is_empty() {
            let at = rest.find(|c: char| c.is_ascii_alphabetic())?;
            let (number, tail) = rest.split_at(at);
            let unit = tail.chars().next()?;
            let (_, seconds) = units.iter().find(|(letter, _)| *letter == unit)?;
            total += number.parse::<f64>().ok()? * seconds;
            rest = &tail[1..];
            any = true;
        }
    }
    #[expect(clippy::cast_possible_truncation, reason = "durations beyond i64 saturate")]
    let millis = (total * 1000.0).round() as i64;
    any.then_some(sign * millis)
}

/// Reads a duration as people write it: `500ms`, `10s`, `5m`, `2h`, `7d`; milliseconds.
pub fn parse_human_duration(text: &str) -> Option<i64> {
    let text = text.trim();
    let at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(at);
    let factor = match unit.trim() {
        "ms" => 1,
        "s" | "sec" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => DAY_MS,
        "w" => 7 * DAY_MS,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(factor)
}

fn digits(text: &str) -> Option<i64> {
    let plain = !text.is_empty() && text.len() <= 6 && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_go_both_ways() {
        for millis in [0, 1_795_256_254_480, -1, 951_782_400_000, 4_102_444_799_999] {
            assert_eq!(millis_of(&civil(millis)), millis);
        }
        let t = civil(1_795_256_254_480);
        assert_eq!((t.year, t.month, t.day, t.hour, t.millis), (2026, 11, 21, 10, 480));
    }

    #[test]
    fn iso_texts_are_read_with_and_without_zone() {
        assert_eq!(parse_datetime("1970-01-02"), Some(DAY_MS));
        assert_eq!(parse_datetime("2020-01-01T00:00:00.000"), Some(1_577_836_800_000));
        assert_eq!(parse_datetime("2020-01-01T09:00:00.5+09:00"), Some(1_577_836_800_500));
        assert_eq!(parse_datetime("2020-01-01T00:00Z"), Some(1_577_836_800_000));
        for bad in ["", "2020", "2020-13-01", "2020-01-01Tx", "yesterday"] {
            assert_eq!(parse_datetime(bad), None, "{bad}");
        }
    }

    #[test]
    fn durations_are_read() {
        assert_eq!(parse_iso_duration("PT1H"), Some(3_600_000));
        assert_eq!(parse_iso_duration("P1DT0.5S"), Some(DAY_MS + 500));
        assert_eq!(parse_iso_duration("-PT5M"), Some(-300_000));
        for bad in ["", "P", "1H", "PT5", "PTx"] {
            assert_eq!(parse_iso_duration(bad), None, "{bad}");
        }
        assert_eq!(parse_human_duration("10m"), Some(600_000));
        assert_eq!(parse_human_duration("10"), None);
    }
}
