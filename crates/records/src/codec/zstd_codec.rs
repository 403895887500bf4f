//! Zstandard with contexts kept per thread: making one costs more than a small batch.

use std::cell::{Cell, RefCell};
use std::io::{self, Read};

use zstd::bulk::Compressor;
use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};

thread_local! {
    static COMPRESSOR: RefCell<Option<(i32, Compressor<'static>)>> = const { RefCell::new(None) };
    static DECODER: Cell<Option<Decoder<'static>>> = const { Cell::new(None) };
}

/// A decoder that has inflated more than this may hold a large window, and is not kept.
const KEEP_BELOW: u64 = 8 << 20;

pub(super) fn compress(bytes: &[u8], level: i32, out: &mut Vec<u8>) -> io::Result<()> {
    COMPRESSOR.with_borrow_mut(|slot| {
        let compressor = match slot {
            Some((at_level, compressor)) if *at_level == level => compressor,
            _ => &mut slot.insert((level, Compressor::new(level)?)).1,
        };
        let before = out.len();
        out.resize(before + zstd::zstd_safe::compress_bound(bytes.len()), 0);
        let len = compressor.compress_to_buffer(bytes, &mut out[before..])?;
        out.truncate(before + len);
        Ok(())
    })
}

/// Inflates one or more frames.
pub(crate) struct ZstdReader<'a> {
    rest: &'a [u8],
    decoder: Option<Decoder<'static>>,
    inside_frame: bool,
    inflated: u64,
}

impl<'a> ZstdReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, decoder: None, inside_frame: false, inflated: 0 }
    }

    fn decoder(&mut self) -> io::Result<&mut Decoder<'static>> {
        if self.decoder.is_none() {
            let mut decoder = match DECODER.take() {
                Some(decoder) => decoder,
                None => Decoder::new()?,
            };
            decoder.reinit()?;
            self.decoder = Some(decoder);
        }
        self.decoder.as_mut().ok_or_else(|| io::Error::other("no decoder"))
    }
}

impl Read for ZstdReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            if self.rest.is_empty() && !self.inside_frame {
                return Ok(0);
            }
            let rest = self.rest;
            let mut input = InBuffer::around(rest);
            let mut output = OutBuffer::around(&mut *out);
            let hint = self.decoder()?.run(&mut input, &mut output)?;
            let (read, wrote) = (input.pos(), output.pos());
            self.rest = &rest[read..];
            self.inside_frame = hint != 0;
            self.inflated += wrote as u64;
            if wrote > 0 {
                return Ok(wrote);
            }
            if self.rest.is_empty() && self.inside_frame {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the data ends inside a frame",
                ));
            }
        }
    }
}

impl Drop for ZstdReader<'_> {
    fn drop(&mut self) {
        if self.inflated < KEEP_BELOW
            && let Some(decoder) = self.decoder.take()
        {
            DECODER.set(Some(decoder));
        }
    }
}
