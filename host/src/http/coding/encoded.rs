//! A body that is encoded on its way.
//!
//! Memory is bounded: what goes in are pieces, what comes out is handed on at once. Where the sender pauses, everything that it has said
//! is flushed out, so that a stream stays one. A body that breaks off breaks off here, too, without an end that looks like one.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame};

use super::Coding;
use super::encoder::{Encoder, Levels};
use crate::http::{Body, BodyError};

/// Bytes that are encoded at once.
const PIECE_BYTES: usize = 16 * 1024;
/// Bytes after which other connections have their turn: a few milliseconds of the slowest coding.
const TURN_BYTES: usize = 8 * PIECE_BYTES;
/// Encoded bytes that are worth being handed on before there is a reason to.
const READY_BYTES: usize = 8 * 1024;

impl Body {
    /// This body in a coding.
    pub fn encoded(self, coding: Coding, levels: Levels) -> std::io::Result<Self> {
        let encoder = Some(Encoder::new(coding, levels)?);
        let (left, last) = (Bytes::new(), None);
        Ok(Self::boxed(Encoded { body: self, encoder, left, held: false, turn: 0, last }))
    }
}

struct Encoded {
    body: Body,
    /// Gone when the body has ended.
    encoder: Option<Encoder>,
    /// What was read and is not encoded yet.
    left: Bytes,
    /// Whether the encoder may hold something back.
    held: bool,
    /// Bytes encoded in this turn.
    turn: usize,
    /// Trailers that come behind the last data.
    last: Option<HeaderMap>,
}

type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

impl Encoded {
    fn poll(&mut self, cx: &mut Context<'_>) -> Polled {
        loop {
            let Some(encoder) = &mut self.encoder else {
                return Poll::Ready(self.last.take().map(|trailers| Ok(Frame::trailers(trailers))));
            };
            if encoder.ready() >= READY_BYTES {
                return Poll::Ready(Some(Ok(Frame::data(encoder.take()))));
            }
            if !self.left.is_empty() {
                if self.turn >= TURN_BYTES {
                    self.turn = 0;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                let piece = self.left.split_to(self.left.len().min(PIECE_BYTES));
                encoder.write(&piece).map_err(BodyError::Coding)?;
                self.turn += piece.len();
                self.held = true;
                continue;
            }
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.left = data,
                    Err(frame) => {
                        self.last = frame.into_trailers().ok();
                        if let Some(data) = self.finish()? {
                            return Poll::Ready(Some(Ok(data)));
                        }
                    }
                },
                Poll::Ready(Some(Err(error))) => {
                    self.encoder = None;
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Ready(None) => {
                    if let Some(data) = self.finish()? {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Poll::Pending => {
                    self.turn = 0;
                    if std::mem::take(&mut self.held) {
                        encoder.flush().map_err(BodyError::Coding)?;
                    }
                    if encoder.ready() == 0 {
                        return Poll::Pending;
                    }
                    return Poll::Ready(Some(Ok(Frame::data(encoder.take()))));
                }
            }
        }
    }

    fn finish(&mut self) -> Result<Option<Frame<Bytes>>, BodyError> {
        let Some(encoder) = self.encoder.take() else { return Ok(None) };
        let data = encoder.finish().map_err(BodyError::Coding)?;
        Ok((!data.is_empty()).then(|| Frame::data(data)))
    }
}

impl http_body::Body for Encoded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        self.poll(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.encoder.is_none() && self.last.is_none()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::cell::RefCell;
    use std::collections::VecDeque;
    use std::io::{Read, Write};
    use std::rc::Rc;
    use std::task::Waker;

    use super::*;
    use crate::http::test_bodies::{chunks, chunks_then, collect, failing};

    const ALL: [Coding; 3] = [Coding::Brotli, Coding::Zstd, Coding::Gzip];

    /// What a decoder makes of bytes, complete or not.
    fn decode(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        match coding {
            Coding::Gzip => drop(flate2::read::GzDecoder::new(bytes).read_to_end(&mut out)),
            Coding::Zstd => drop(zstd::stream::read::Decoder::new(bytes).unwrap().read_to_end(&mut out)),
            Coding::Brotli => {
                let mut decoder = brotli::DecompressorWriter::new(Vec::new(), 4096);
                decoder.write_all(bytes).unwrap();
                decoder.flush().unwrap();
                out.clone_from(decoder.get_ref());
            }
        }
        out
    }

    #[test]
    fn what_comes_out_decodes_to_what_went_in() {
        let long: Vec<u8> = (0_u32..200_000).flat_map(|number| (number % 251 * number).to_le_bytes()).collect();
        for coding in ALL {
            let encoded = |body: Body| {
                let mut body = body.encoded(coding, Levels::default()).unwrap();
                let (mut data, mut frames) = (Vec::new(), 0);
                // Turns end in `Pending` with a wake-up.
                for _ in 0..1_000 {
                    match Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop())) {
                        Poll::Ready(Some(frame)) => {
                            data.extend_from_slice(frame.unwrap().data_ref().unwrap());
                            frames += 1;
                        }
                        Poll::Ready(None) => return (data, frames),
                        Poll::Pending => {}
                    }
                }
                (Vec::new(), 0)
            };
            let (data, frames) = encoded(Body::from(Bytes::from(long.clone())));
            assert!(decode(coding, &data) == long && frames > 3 && data.len() < long.len(), "{coding:?}");
            assert_eq!(decode(coding, &encoded(chunks(&["a", "b", ""])).0), b"ab", "{coding:?}");
            assert_eq!(decode(coding, &encoded(Body::Empty).0), b"", "{coding:?}");
        }
    }

    #[test]
    fn trailers_follow_and_what_broke_off_does_not_look_whole() {
        for coding in ALL {
            let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "1".parse().unwrap())]);
            let mut body = chunks_then(&["a"], trailers.clone()).encoded(coding, Levels::default()).unwrap();
            let mut next = || match Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Some(frame)) => frame.ok(),
                _ => None,
            };
            assert_eq!(decode(coding, &next().unwrap().into_data().unwrap()), b"a");
            assert_eq!(next().unwrap().into_trailers().ok(), Some(trailers));
            assert!(next().is_none());
            let (_, error) = collect(failing().encoded(coding, Levels::default()).unwrap());
            assert!(matches!(error, Some(BodyError::Idle(_))), "{error:?}");
        }
    }

    /// A body that says what it is told to, and waits.
    struct Said(Rc<RefCell<VecDeque<&'static str>>>);

    impl http_body::Body for Said {
        type Data = Bytes;
        type Error = BodyError;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Polled {
            let said = self.0.borrow_mut().pop_front();
            said.map_or(Poll::Pending, |text| Poll::Ready(Some(Ok(Frame::data(text.into())))))
        }
    }

    #[test]
    fn everything_that_was_said_before_a_pause_can_be_decoded() {
        for coding in ALL {
            let said = Rc::new(RefCell::new(VecDeque::new()));
            let mut body = Body::boxed(Said(Rc::clone(&said))).encoded(coding, Levels::default()).unwrap();
            let mut all = Vec::new();
            for (texts, expected) in [(&["one ", "two "][..], "one two "), (&["three "], "one two three ")] {
                said.borrow_mut().extend(texts);
                while let Poll::Ready(frame) = Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop())) {
                    all.extend_from_slice(frame.unwrap().unwrap().data_ref().unwrap());
                }
                assert_eq!(String::from_utf8(decode(coding, &all)).unwrap(), expected, "{coding:?}");
            }
        }
    }
}
