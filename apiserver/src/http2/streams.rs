//! Something for each open stream, by number: numbers only grow, so that new ones go to the end.

/// Room that is kept for streams that are gone.
const KEPT: usize = 8;

/// The open streams.
#[derive(Debug)]
pub struct Streams<T>(Vec<(u32, T)>);

impl<T> Default for Streams<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Streams<T> {
    /// Adds a stream; its number is higher than all before.
    pub fn push(&mut self, stream: u32, what: T) {
        debug_assert!(self.0.last().is_none_or(|(last, _)| *last < stream));
        self.0.push((stream, what));
    }

    /// What there is for this stream.
    #[must_use]
    pub fn get(&self, stream: u32) -> Option<&T> {
        let place = self.place(stream)?;
        self.0.get(place).map(|(_, what)| what)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, stream: u32) -> Option<&mut T> {
        let place = self.place(stream)?;
        self.0.get_mut(place).map(|(_, what)| what)
    }

    /// Takes it out.
    pub fn remove(&mut self, stream: u32) -> Option<T> {
        let place = self.place(stream)?;
        let (_, what) = self.0.remove(place);
        if self.0.is_empty() {
            self.0.shrink_to(KEPT);
        }
        Some(what)
    }

    /// All of them, by number.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        self.0.iter_mut().map(|(stream, what)| (*stream, what))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn place(&self, stream: u32) -> Option<usize> {
        self.0
            .binary_search_by_key(&stream, |(stream, _)| *stream)
            .ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_come_and_go() {
        let mut streams = Streams::default();
        for stream in [1, 3, 7] {
            streams.push(stream, stream * 10);
        }
        assert_eq!((streams.get(3), streams.get(5)), (Some(&30), None));
        assert_eq!((streams.remove(3), streams.remove(3)), (Some(30), None));
        assert_eq!(
            streams
                .iter_mut()
                .map(|(stream, _)| stream)
                .collect::<Vec<_>>(),
            [1, 7]
        );
        assert_eq!(streams.len(), 2);
    }
}
