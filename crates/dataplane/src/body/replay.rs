//! A request's body, kept for a retry, up to 64 KiB.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use crate::error::BoxError;

/// The longest body that is kept, in bytes; Linkerd's limit.
const MAX_LENGTH: usize = 64 * 1024;

/// One reading of a kept body. The first reading reads the source; later ones repeat what it kept.
pub(crate) struct Replay<B> {
    /// `None` for a request without a body.
    kept: Option<Arc<Mutex<Kept<B>>>>,
    next: usize,
    trailers_read: bool,
}

struct Kept<B> {
    source: Option<B>,
    chunks: Vec<Bytes>,
    length: usize,
    trailers: Option<HeaderMap>,
    /// The body is too long or it broke.
    incomplete: bool,
}

impl<B: Body<Data = Bytes, Error = BoxError> + Unpin> Replay<B> {
    /// Keeps a body, or returns it if it announces more than 64 KiB.
    pub(crate) fn new(body: B) -> Result<Self, B> {
        if body.is_end_stream() {
            return Ok(Self { kept: None, next: 0, trailers_read: false });
        }
        if body.size_hint().lower() > MAX_LENGTH as u64 {
            return Err(body);
        }
        let kept =
            Kept { source: Some(body), chunks: Vec::new(), length: 0, trailers: None, incomplete: false };
        Ok(Self { kept: Some(Arc::new(Mutex::new(kept))), next: 0, trailers_read: false })
    }

    /// Returns one more reading of the body.
    pub(super) fn reading(&self) -> Self {
        Self { kept: self.kept.clone(), next: 0, trailers_read: false }
    }

    /// Whether the whole body was read and kept, so that it can be sent again.
    pub(crate) fn is_complete(&self) -> bool {
        self.lock().is_none_or(|kept| kept.source.is_none() && !kept.incomplete)
    }

    fn lock(&self) -> Option<MutexGuard<'_, Kept<B>>> {
        self.kept.as_ref().map(|kept| kept.lock().expect("replay lock"))
    }

    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(kept) = &self.kept else { return Poll::Ready(None) };
        let kept = &mut *kept.lock().expect("replay lock");
        if let Some(chunk) = kept.chunks.get(self.next) {
            self.next += 1;
            return Poll::Ready(Some(Ok(Frame::data(chunk.clone()))));
        }
        let Some(source) = &mut kept.source else {
            let trailers = kept.trailers.as_ref().filter(|_| !self.trailers_read);
            self.trailers_read = true;
            return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers.clone()))));
        };
        let frame = ready!(Pin::new(&mut *source).poll_frame(cx));
        let ended = match &frame {
            None | Some(Err(_)) => true,
            Some(Ok(_)) => source.is_end_stream(),
        };
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.next += kept.keep(data);
                } else if let Some(trailers) = frame.trailers_ref() {
                    kept.trailers = Some(trailers.clone());
                    self.trailers_read = true;
                }
            }
            Some(Err(_)) => kept.incomplete = true,
            None => {}
        }
        if ended {
            kept.source = None;
        }
        Poll::Ready(frame)
    }

    pub(super) fn is_end_stream(&self) -> bool {
        let ended = |kept: MutexGuard<'_, Kept<B>>| {
            let trailers = kept.trailers.is_some() && !self.trailers_read;
            kept.source.is_none() && self.next >= kept.chunks.len() && !trailers
        };
        self.lock().is_none_or(ended)
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let Some(kept) = self.lock() else { return SizeHint::with_exact(0) };
        let repeated: usize = kept.chunks.iter().skip(self.next).map(Bytes::len).sum();
        let mut hint = kept.source.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint);
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + repeated as u64);
        }
        hint.set_lower(hint.lower() + repeated as u64);
        hint
    }
}

impl<B> Kept<B> {
    /// Keeps a chunk; returns by how many chunks the reading advances.
    fn keep(&mut self, data: &Bytes) -> usize {
        self.length = self.length.saturating_add(data.len());
        if self.length > MAX_LENGTH {
            self.incomplete = true;
            self.chunks.clear();
        }
        if self.incomplete {
            return 0;
        }
        self.chunks.push(data.clone());
        1
    }
}
