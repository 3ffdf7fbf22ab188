//! Follows what a client says just as far as to know whether it is in the middle of something.

/// What every HTTP/2 client says first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Length in three bytes, type, flags, stream in four.
const HEADER: usize = 9;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// What has been heard of a client.
#[derive(Debug, Default)]
pub struct Frames {
    /// How much of the preface; more than there is when it was something else.
    preface: usize,
    header: [u8; HEADER],
    in_header: usize,
    /// What the current frame still lacks.
    lacking: usize,
    /// Headers that go on in another frame.
    has_open_headers: bool,
    has_frame: bool,
}

impl Frames {
    /// Hears what comes next.
    pub fn hear(&mut self, mut bytes: &[u8]) {
        while let (false, Some((&byte, rest))) = (self.is_http1(), bytes.split_first()) {
            if self.preface < PREFACE.len() {
                self.preface = if byte == PREFACE[self.preface] { self.preface + 1 } else { usize::MAX };
                bytes = rest;
            } else if self.lacking > 0 {
                let skipped = self.lacking.min(bytes.len());
                self.lacking -= skipped;
                bytes = &bytes[skipped..];
                self.has_frame |= self.lacking == 0;
            } else {
                self.header[self.in_header] = byte;
                self.in_header += 1;
                bytes = rest;
                if self.in_header == HEADER {
                    self.begin_frame();
                }
            }
        }
    }

    fn begin_frame(&mut self) {
        let [high, middle, low, kind, flags, ..] = self.header;
        self.in_header = 0;
        self.lacking = u32::from_be_bytes([0, high, middle, low]) as usize;
        self.has_frame |= self.lacking == 0;
        if matches!(kind, HEADERS | CONTINUATION) {
            self.has_open_headers = flags & END_HEADERS == 0;
        }
    }

    /// Whether the client speaks HTTP/1, or nothing that we know.
    pub fn is_http1(&self) -> bool {
        self.preface > PREFACE.len()
    }

    /// Whether an HTTP/2 client has introduced itself: with the preface and its settings.
    pub fn has_greeted(&self) -> bool {
        self.has_frame
    }

    /// Whether an HTTP/2 client owes us the rest of a frame, or of its headers.
    pub fn is_midway(&self) -> bool {
        self.in_header > 0 || self.lacking > 0 || self.has_open_headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, length, kind, flags, 0, 0, 0, 1];
        frame.extend(std::iter::repeat_n(0xaa, length as usize));
        frame
    }

    fn heard(parts: &[&[u8]]) -> Frames {
        let mut frames = Frames::default();
        for part in parts {
            frames.hear(part);
        }
        frames
    }

    #[test]
    fn a_greeting_is_the_preface_and_one_frame() {
        let settings = frame(4, 0, 6);
        let all = [PREFACE, &settings].concat();
        for cut in 0..all.len() {
            let frames = heard(&[&all[..cut]]);
            assert!(!frames.has_greeted() && !frames.is_http1(), "{cut}");
        }
        // However it is cut.
        for cut in 0..=all.len() {
            let frames = heard(&[&all[..cut], &all[cut..]]);
            assert!(frames.has_greeted() && !frames.is_midway(), "{cut}");
        }
        assert!(heard(&[PREFACE, &frame(4, 0, 0)]).has_greeted());
    }

    #[test]
    fn what_is_begun_is_owed() {
        let settings = frame(4, 0, 0);
        for (next, is_midway) in [
            (frame(HEADERS, END_HEADERS, 20), false),
            (frame(HEADERS, 0, 20), true),
            ([frame(HEADERS, 0, 20), frame(CONTINUATION, 0, 1)].concat(), true),
            ([frame(HEADERS, 0, 20), frame(CONTINUATION, END_HEADERS, 1)].concat(), false),
            (frame(HEADERS, END_HEADERS, 20)[..28].to_vec(), true),
            (settings[..1].to_vec(), true),
            (frame(6, 1, 8), false),
        ] {
            let frames = heard(&[PREFACE, &settings, &next]);
            assert_eq!(frames.is_midway(), is_midway, "{next:?}");
        }
    }

    #[test]
    fn whatever_else_is_http1() {
        for other in ["GET / HTTP/1.1\r\n", "PRI * HTTP/1.1\r\n", "P\0", "\x16\x03\x01"] {
            let frames = heard(&[other.as_bytes(), b"more"]);
            assert!(frames.is_http1() && !frames.has_greeted() && !frames.is_midway(), "{other}");
        }
        assert!(!heard(&[b"PRI * HTTP"]).is_http1());
    }
}
