//! Frames about the connection: SETTINGS, PING, PRIORITY, WINDOW_UPDATE; and the windows that we give.

use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::{Connection, PARTING_PING, Phase};
use super::frame::{self, Broken, Code, Head, WINDOW_BYTES, WINDOW_BYTES_MAX};
use super::streams::{Gone, Work};
use crate::listener::Handle;

impl<S: AsyncRead + AsyncWrite + Unpin, H: Handle> Connection<S, H> {
    pub(super) fn client_settings(&mut self, head: Head, payload: &[u8]) -> Result<(), Broken> {
        if head.stream != 0 {
            return Err(Broken::protocol("SETTINGS on a stream"));
        }
        self.controls.take()?;
        if head.has(frame::ACK) {
            return if payload.is_empty() { Ok(()) } else { Err(Broken::size("an ACK that says something")) };
        }
        if !payload.len().is_multiple_of(6) {
            return Err(Broken::size("SETTINGS that are not whole"));
        }
        for setting in payload.chunks_exact(6) {
            let (key, value) = setting.split_at(2);
            let key = key.first_chunk().map_or(0, |key| u16::from_be_bytes(*key));
            self.client_setting(key, frame::u32_of(value))?;
        }
        frame::head(&mut self.out, 0, frame::SETTINGS, frame::ACK, 0);
        Ok(())
    }

    fn client_setting(&mut self, key: u16, value: u32) -> Result<(), Broken> {
        match key {
            frame::SETTING_HEADER_TABLE_SIZE => self.encoder.limit(value as usize),
            frame::SETTING_ENABLE_PUSH if value > 1 => return Err(Broken::protocol("ENABLE_PUSH that is not 0 or 1")),
            frame::SETTING_INITIAL_WINDOW_SIZE => self.window_first(i64::from(value))?,
            frame::SETTING_MAX_FRAME_SIZE if !(16_384..=16_777_215).contains(&value) => {
                return Err(Broken::protocol("MAX_FRAME_SIZE out of range"));
            }
            // Longer frames would only keep other streams waiting; all of them take at least this.
            _ => {}
        }
        Ok(())
    }

    /// Changes the window of new streams, and of those that are open by the difference (section 6.9.2).
    fn window_first(&mut self, window: i64) -> Result<(), Broken> {
        let over = Broken { code: Code::FlowControl, why: "a window that is too large" };
        if window > WINDOW_BYTES_MAX {
            return Err(over);
        }
        let difference = window - self.window_first;
        self.window_first = window;
        let mut woken = Vec::new();
        for (seat, stream) in self.streams.iter_mut() {
            stream.send_window += difference;
            if stream.send_window > WINDOW_BYTES_MAX {
                return Err(over);
            }
            if difference > 0 && matches!(stream.work, Work::Sending(_)) {
                woken.push(seat);
            }
        }
        woken.into_iter().for_each(|seat| self.enqueue(seat));
        Ok(())
    }

    pub(super) fn ping(&mut self, head: Head, payload: &[u8]) -> Result<(), Broken> {
        if head.stream != 0 {
            return Err(Broken::protocol("PING on a stream"));
        }
        if payload.len() != 8 {
            return Err(Broken::size("PING that is not eight bytes"));
        }
        self.controls.take()?;
        match head.has(frame::ACK) {
            false => {
                frame::head(&mut self.out, 8, frame::PING, frame::ACK, 0);
                self.out.extend_from_slice(payload);
            }
            true if payload == PARTING_PING && matches!(self.phase, Phase::Parting { .. }) => self.leave(),
            true => {}
        }
        Ok(())
    }

    /// Priorities are read and not used (section 5.3.2).
    pub(super) fn priority(&mut self, head: Head, payload: &[u8]) -> Result<(), Broken> {
        if head.stream == 0 {
            return Err(Broken::protocol("PRIORITY on no stream"));
        }
        self.controls.take()?;
        let wrong = if payload.len() != 5 {
            Code::FrameSize
        } else if frame::u32_of(payload) & 0x7fff_ffff == head.stream {
            Code::Protocol
        } else {
            return Ok(());
        };
        match self.streams.find(head.stream) {
            Some(seat) => self.fail(seat, head.stream, wrong),
            // A stream that is not open cannot be reset (section 5.1).
            None => Err(Broken { code: wrong, why: "PRIORITY that is wrong" }),
        }
    }

    pub(super) fn window_update(&mut self, head: Head, payload: &[u8]) -> Result<(), Broken> {
        if payload.len() != 4 {
            return Err(Broken::size("WINDOW_UPDATE that is not four bytes"));
        }
        self.controls.take()?;
        let more = i64::from(frame::u32_of(payload) & 0x7fff_ffff);
        if head.stream == 0 {
            self.send_window += more;
            return match more {
                0 => Err(Broken::protocol("a window update of nothing")),
                _ if self.send_window > WINDOW_BYTES_MAX => {
                    Err(Broken { code: Code::FlowControl, why: "a window that is too large" })
                }
                _ => Ok(()),
            };
        }
        let Some(seat) = self.streams.find(head.stream) else {
            return match self.streams.gone(head.stream) {
                Gone::Idle => Err(Broken::protocol("WINDOW_UPDATE on an idle stream")),
                // It crossed what closed the stream.
                _ => Ok(()),
            };
        };
        let Some(stream) = self.streams.at(seat) else { return Ok(()) };
        stream.send_window += more;
        if more == 0 {
            return self.fail(seat, head.stream, Code::Protocol);
        }
        if stream.send_window > WINDOW_BYTES_MAX {
            return self.fail(seat, head.stream, Code::FlowControl);
        }
        if matches!(stream.work, Work::Sending(_)) {
            self.enqueue(seat);
        }
        Ok(())
    }

    /// Gives the connection's window back what was taken, in large steps.
    pub(super) fn give_back(&mut self, bytes: usize) {
        self.unreturned += bytes as u32;
        let whole = self.settings.http2.connection_window_bytes.max(WINDOW_BYTES);
        if self.unreturned >= whole / 2 {
            frame::number(&mut self.out, frame::WINDOW_UPDATE, 0, self.unreturned);
            self.receive_window += i64::from(self.unreturned);
            self.unreturned = 0;
        }
    }

    /// Gives back what the handler took of a body. A body that nobody wants gets more window only for a while.
    pub(super) fn settle(&mut self, seat: usize) {
        let whole = self.settings.http2.stream_window_bytes.max(WINDOW_BYTES);
        let Some(stream) = self.streams.at(seat) else { return };
        let Some(inbox) = &stream.inbox else { return };
        let taken = inbox.settle();
        stream.unreturned += taken as u32;
        let due = !stream.ended && stream.unreturned >= whole / 2;
        if due && (!inbox.unwanted() || stream.discard_left >= stream.unreturned) {
            if inbox.unwanted() {
                stream.discard_left -= stream.unreturned;
            }
            frame::number(&mut self.out, frame::WINDOW_UPDATE, stream.id, stream.unreturned);
            stream.receive_window += i64::from(stream.unreturned);
            stream.unreturned = 0;
        }
        if taken > 0 {
            self.give_back(taken);
        }
    }
}
