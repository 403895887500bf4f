#!/bin/bash
# kcat (librdkafka) against the broker at $BOOTSTRAP, which creates topics by itself.
B=${BOOTSTRAP:?}
R=$RANDOM$RANDOM
P=0 F=0 S=0
W=$(mktemp -d)
trap 'rm -rf "$W"' EXIT
K="timeout 60 kcat -b $B -X broker.address.family=v4 -X topic.metadata.refresh.interval.ms=500"

# later NAME: prints the reason why a case waits, if it does
later() {
  local pattern reason
  while IFS=$'\t' read -r pattern reason; do
    if echo "$1" | grep -qE -e "$pattern"; then echo "$reason"; return 0; fi
  done < "${NARU_LATER:-/dev/null}"
  return 1
}

# t NAME COMMAND...: one case
t() {
  local name="$1" out
  shift
  if out=$(later "$name"); then
    echo "SKIP $name -- $out"
    S=$((S + 1))
  elif out=$("$@" 2>&1); then
    echo "PASS $name"
    P=$((P + 1))
  else
    echo "FAIL $name -- $(echo "$out" | tail -1 | cut -c1-300)"
    F=$((F + 1))
  fi
}
eq() { [ "$1" = "$2" ] || { echo "got '$1' want '$2'"; return 1; }; }
T=kt-$R

meta() {
  $K -L | grep -q 'brokers:' &&
    $K -L -J | python3 -c '
import json, sys
cluster = json.load(sys.stdin)
assert cluster["brokers"] and cluster["controllerid"] >= 0'
}
t "metadata text and JSON (-L, -L -J)" meta

autoc() {
  echo first | $K -P -t $T-a &&
    sleep 1 &&
    eq "$($K -C -t $T-a -o beginning -e -q)" first
}
t "produce auto-creates topic, consume to end (-e)" autoc

seq 1 1000 > $W/n
many() {
  $K -P -t $T-m -p 0 -l $W/n &&
    $K -C -t $T-m -p 0 -o beginning -e -q > $W/o &&
    cmp $W/n $W/o
}
t "1000 lines in order on one partition" many

for z in gzip snappy lz4 zstd; do
  codec() {
    $K -P -t $T-$z -p 0 -z $z -l $W/n &&
      $K -C -t $T-$z -p 0 -o beginning -e -q > $W/o &&
      cmp $W/n $W/o
  }
  t "compression -z $z" codec
done

keys() {
  printf 'k1:v1\nk2:v2\n' | $K -P -t $T-k -p 0 -K: &&
    eq "$($K -C -t $T-k -p 0 -o beginning -e -q -f '%k=%s@%o\n' | tr '\n' ' ')" "k1=v1@0 k2=v2@1 "
}
t "keys with -K and -f format %k %s %o" keys

hdr() {
  echo x | $K -P -t $T-h -p 0 -H a=1 -H b=two &&
    eq "$($K -C -t $T-h -p 0 -o beginning -e -q -f '%h\n')" "a=1,b=two"
}
t "headers -H and %h" hdr

nul() {
  printf 'k:\n' | $K -P -t $T-nul -p 0 -K: -Z &&
    eq "$($K -C -t $T-nul -p 0 -o beginning -e -q -f '%S\n')" "-1"
}
t "null value -Z (tombstone, %S = -1)" nul

tail_() { eq "$($K -C -t $T-m -p 0 -o -3 -e -q | tr '\n' ' ')" "998 999 1000 "; }
t "offset from end (-o -3)" tail_

abs() { eq "$($K -C -t $T-m -p 0 -o 500 -c 2 -q | tr '\n' ' ')" "501 502 "; }
t "absolute offset and count (-o 500 -c 2)" abs

ts() { eq "$($K -C -t $T-m -p 0 -o beginning -c 1 -q -f '%T\n' | grep -cE '^1[0-9]{12}$')" 1; }
t "timestamp %T is epoch ms" ts

qt() {
  eq "$($K -Q -t $T-m:0:-2 | tail -1 | grep -oE "[0-9]+$")" 0 &&
    eq "$($K -Q -t $T-m:0:-1 | tail -1 | grep -oE "[0-9]+$")" 1000
}
t "query offsets earliest/latest (-Q -2 / -1)" qt

qm() {
  a=$(date +%s%3N)
  sleep 1
  echo late | $K -P -t $T-m -p 0
  eq "$($K -Q -t $T-m:0:$a | tail -1 | grep -oE "[0-9]+$")" 1000 &&
    eq "$($K -Q -t $T-m:0:1000 | tail -1 | grep -oE "[0-9]+$")" 0
}
t "query offset by timestamp (-Q)" qm

rng() {
  $K -C -t $T-m -p 0 -o s@1000 -o e@$(( $(date +%s%3N)+100000 )) -q -e | wc -l | grep -q '^1001$'
}
t "consume by timestamp range (s@ e@)" rng

grp() {
  timeout 60 kcat -b $B -G $T-g -X auto.offset.reset=earliest -X topic.metadata.refresh.interval.ms=500 -c 1000 -q $T-m > $W/g 2>/dev/null
  [ $(wc -l < $W/g) -ge 1000 ]
}
t "balanced consumer group (-G) reads everything" grp

grp2() {
  r=$(timeout 30 kcat -b $B -G $T-g -X auto.offset.reset=earliest -c 1 -q $T-m 2>/dev/null)
  eq "$r" late
}
t "group resumes at committed offset" grp2

unk() { ! $K -C -t $T-nope -X allow.auto.create.topics=false -p 0 -o beginning -e -q; }
t "consuming an unknown topic fails" unk

idem() {
  $K -P -t $T-i -p 0 -X enable.idempotence=true -l $W/n &&
    $K -C -t $T-i -p 0 -o beginning -e -q | cmp - $W/n
}
t "idempotent produce" idem

tx() {
  echo c | $K -P -t $T-tx -p 0 -X transactional.id=$T-tid &&
    eq "$($K -C -t $T-tx -p 0 -o beginning -e -q -X isolation.level=read_committed)" c
}
t "transactional produce" tx

acks() {
  for a in 0 1 all; do
    echo $a | $K -P -t $T-ack -p 0 -X acks=$a || return 1
  done
  sleep 0.5
  eq "$($K -C -t $T-ack -p 0 -o beginning -e -q | wc -l)" 3
}
t "acks 0, 1, all" acks

big() {
  head -c 900000 /dev/zero | tr '\0' 'x' > $W/b
  $K -P -t $T-b -p 0 $W/b &&
    [ "$($K -C -t $T-b -p 0 -o beginning -e -q -f '%S\n')" = 900000 ]
}
t "900 kB message from file" big

toobig() {
  head -c 3000000 /dev/zero | tr '\0' 'x' > $W/b
  ! $K -P -t $T-b -p 0 -X message.max.bytes=10000000 $W/b
}
t "3 MB message rejected by broker" toobig

echo "$P passed, $F failed, $S skipped"
[ $F = 0 ]
