//! Bodies of responses with limits: a server that sends without an end fills no memory.

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as _, Frame};
use http_body_util::BodyExt as _;
use kube::client::Body;
use thiserror::Error;
use tower::BoxError;

/// How many bytes all responses together may have that are being read. Commands list some twenty kinds at once, most of
/// them empty; a list of 8,000 pods has some 40 MiB. With 64 MiB `lint` took 126 MB on a server that sends lists without an end.
pub(crate) const TOGETHER: usize = 48 << 20;

/// The longest line of a watch, which is one object. The API server refuses objects above 3 MiB.
const LONGEST_LINE: usize = 16 << 20;

static READING: Pool = Pool::new(TOGETHER);

/// Why a body was not read to its end.
#[derive(Debug)]
pub(crate) enum Unread {
    /// It is larger than so many bytes.
    Larger(usize),
    /// The connection broke.
    Lost(BoxError),
}

/// Returns a whole body of at most `limit` bytes.
pub(crate) async fn whole(body: Body, limit: usize) -> Result<Bytes, Unread> {
    read(body, limit, &READING).await
}

async fn read<B>(body: B, limit: usize, pool: &'static Pool) -> Result<Bytes, Unread>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    let mut body = pin!(body);
    let larger = |bytes: u64| usize::try_from(bytes).map_or(true, |bytes| bytes > limit);
    if larger(body.size_hint().lower()) {
        return Err(Unread::Larger(limit));
    }
    let mut share = Share { pool, bytes: 0 };
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Unread::Lost(error.into()))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > limit {
            return Err(Unread::Larger(limit));
        }
        if !share.grow(data.len()) {
            return Err(Unread::Larger(pool.size));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.into())
}

/// The body of a response. That of a watch fails where a line is longer than [`LONGEST_LINE`].
pub(crate) struct Checked<B = Body> {
    body: B,
    /// The bytes since the last line break.
    line: usize,
    longest: usize,
}

impl Checked {
    /// Returns a body that was read, or a stream of any bytes.
    pub(crate) fn any(body: Body) -> Self {
        Self { body, line: 0, longest: usize::MAX }
    }

    /// Returns the body of a watch.
    pub(crate) fn watch(body: Body) -> Self {
        Self { body, line: 0, longest: LONGEST_LINE }
    }
}

/// What several readers may take together.
#[derive(Debug)]
struct Pool {
    size: usize,
    taken: AtomicUsize,
}

impl Pool {
    const fn new(size: usize) -> Self {
        Self { size, taken: AtomicUsize::new(0) }
    }
}

/// What one reader has taken of a pool; given back when dropped.
struct Share {
    pool: &'static Pool,
    bytes: usize,
}

impl Share {
    /// Whether there was so much left.
    fn grow(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        self.pool.taken.fetch_add(bytes, Ordering::Relaxed) + bytes <= self.pool.size
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.pool.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A watch sent a line without an end.
#[derive(Debug, Error)]
#[error("a line of the watch is longer than {} MiB", .0 >> 20)]
struct Longer(usize);

impl<B> http_body::Body for Checked<B>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(data) = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()) {
            let end = data.iter().rposition(|byte| *byte == b'\n');
            let line = end.map_or(self.line.saturating_add(data.len()), |end| data.len() - end - 1);
            self.line = line;
            if self.line > self.longest {
                return Poll::Ready(Some(Err(Longer(self.longest).into())));
            }
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use http_body_util::StreamBody;

    use super::*;

    /// A body of so many frames with this content.
    fn frames(
        count: usize,
        content: &'static str,
    ) -> impl http_body::Body<Data = Bytes, Error = BoxError> + Unpin {
        let frame = move |_| Ok(Frame::data(Bytes::from_static(content.as_bytes())));
        StreamBody::new(stream::iter((0..count).map(frame)))
    }

    fn limit_of(read: &Result<Bytes, Unread>) -> Option<usize> {
        match read {
            Err(Unread::Larger(limit)) => Some(*limit),
            _ => None,
        }
    }

    #[tokio::test]
    async fn a_body_without_an_end_fails_at_its_limit() {
        static POOL: Pool = Pool::new(1000);
        assert_eq!(read(frames(3, "abc"), 9, &POOL).await.unwrap(), "abcabcabc");
        assert_eq!(limit_of(&read(frames(usize::MAX, "abc"), 8, &POOL).await), Some(8));
        // The length that a head announces is enough.
        assert_eq!(limit_of(&read(Body::from(vec![0; 9]), 8, &POOL).await), Some(8));
    }

    #[tokio::test]
    async fn bodies_that_are_read_at_once_share_one_limit_and_give_it_back() {
        static POOL: Pool = Pool::new(10);
        let mut other = Share { pool: &POOL, bytes: 0 };
        assert!(other.grow(5));
        assert_eq!(limit_of(&read(frames(2, "abc"), 100, &POOL).await), Some(10));
        drop(other);
        assert_eq!(read(frames(3, "abc"), 100, &POOL).await.unwrap().len(), 9);
        assert_eq!(POOL.taken.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_line_without_an_end_breaks_a_watch_and_many_lines_do_not() {
        let lines = |count, text| Checked { body: frames(count, text), line: 0, longest: 8 }.collect();
        assert!(lines(100, "abc\n").await.is_ok());
        let error = lines(usize::MAX, "abc").await.expect_err("it fails");
        assert!(error.is::<Longer>(), "{error}");
    }
}
