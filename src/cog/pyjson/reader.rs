//! The reader: steps over one document and says where it stops being JSON.

use super::NotJson;

/// The deepest nesting that counts as JSON.
///
/// Python's own limit is its recursion limit of 1000 less the frames that are open when `json.loads` is called.
pub(super) const MAX_DEPTH: usize = 990;
/// Python turns no more digits than this into an integer.
pub(super) const MAX_INTEGER_DIGITS: usize = 4300;

pub(super) struct Reader<'a> {
    document: &'a str,
    position: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(document: &'a str) -> Self {
        Self { document, position: 0 }
    }

    /// Skips a value inside of `depth` open lists and objects.
    pub(super) fn skip_value(&mut self, depth: usize) -> Result<(), NotJson> {
        match self.peek().ok_or(NotJson)? {
            b'"' => self.string().map(drop),
            b'[' => self.list(depth + 1, &mut |reader| reader.skip_value(depth + 1)),
            b'{' => self.object(depth + 1),
            b'n' => self.literal("null"),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'N' => self.literal("NaN"),
            b'I' => self.literal("Infinity"),
            b'-' if self.rest().starts_with(b"-I") => self.literal("-Infinity"),
            _ => self.number(),
        }
    }

    /// Reads a list, itself at `depth`, and hands each of its elements to `item`.
    pub(super) fn list(
        &mut self,
        depth: usize,
        item: &mut dyn FnMut(&mut Self) -> Result<(), NotJson>,
    ) -> Result<(), NotJson> {
        self.open(depth)?;
        if self.eat(b']') {
            return Ok(());
        }
        loop {
            item(self)?;
            if self.closed_by(b']')? {
                return Ok(());
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<(), NotJson> {
        self.open(depth)?;
        if self.eat(b'}') {
            return Ok(());
        }
        loop {
            self.string()?;
            self.skip_white_space();
            self.expect(b':')?;
            self.skip_white_space();
            self.skip_value(depth)?;
            if self.closed_by(b'}')? {
                return Ok(());
            }
        }
    }

    /// Steps over the bracket that opens a list or an object at `depth`.
    fn open(&mut self, depth: usize) -> Result<(), NotJson> {
        if depth > MAX_DEPTH {
            return Err(NotJson);
        }
        self.position += 1;
        self.skip_white_space();
        Ok(())
    }

    /// After an item: either the list or object ends here, or a comma leads to the next item.
    fn closed_by(&mut self, bracket: u8) -> Result<bool, NotJson> {
        self.skip_white_space();
        if self.eat(bracket) {
            return Ok(true);
        }
        self.expect(b',')?;
        self.skip_white_space();
        Ok(false)
    }

    /// Reads a string; what stands between its quotes, with escapes that are valid but not resolved.
    pub(super) fn string(&mut self) -> Result<&'a str, NotJson> {
        self.expect(b'"')?;
        let start = self.position;
        loop {
            match self.next().ok_or(NotJson)? {
                // In range and on character boundaries: both ends lie beside a quote that was read.
                b'"' => return Ok(&self.document[start..self.position - 1]),
                b'\\' => self.escape()?,
                0..=0x1f => return Err(NotJson),
                _ => {}
            }
        }
    }

    fn escape(&mut self) -> Result<(), NotJson> {
        match self.next().ok_or(NotJson)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => {
                for _ in 0..4 {
                    let digit = self.next().ok_or(NotJson)?;
                    if !digit.is_ascii_hexdigit() {
                        return Err(NotJson);
                    }
                }
                Ok(())
            }
            _ => Err(NotJson),
        }
    }

    fn number(&mut self) -> Result<(), NotJson> {
        self.eat(b'-');
        let integer_digits = if self.eat(b'0') { 1 } else { self.digits()? };
        let mut is_integer = true;
        if self.eat(b'.') {
            self.digits()?;
            is_integer = false;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _sign = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
            is_integer = false;
        }
        if is_integer && integer_digits > MAX_INTEGER_DIGITS {
            return Err(NotJson);
        }
        Ok(())
    }

    /// Skips one digit or more; how many there were.
    fn digits(&mut self) -> Result<usize, NotJson> {
        let count = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.position += count;
        if count == 0 { Err(NotJson) } else { Ok(count) }
    }

    fn literal(&mut self, literal: &str) -> Result<(), NotJson> {
        if !self.rest().starts_with(literal.as_bytes()) {
            return Err(NotJson);
        }
        self.position += literal.len();
        Ok(())
    }

    pub(super) fn skip_white_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.position += 1;
        }
    }

    /// What is not read yet.
    fn rest(&self) -> &'a [u8] {
        let bytes = self.document.as_bytes();
        bytes.get(self.position..).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.position += 1;
        Some(byte)
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.position += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), NotJson> {
        if self.eat(byte) { Ok(()) } else { Err(NotJson) }
    }
}
