//! One gzip member at a time, from memory into memory, with libdeflate.
//!
//! libdeflate inflates about twice as fast as the streaming decoders, but needs a whole member and room for all that
//! it holds. Its safe wrapper crate loses what follows the first member, hence this one over the raw functions. What
//! to do about several members, damage and members that do not fit is `source::content`'s.

use std::ffi::c_void;
use std::ptr::NonNull;

use libdeflate_sys::{
    libdeflate_alloc_decompressor, libdeflate_decompressor, libdeflate_free_decompressor,
    libdeflate_gzip_decompress_ex, libdeflate_result_LIBDEFLATE_INSUFFICIENT_SPACE,
    libdeflate_result_LIBDEFLATE_SUCCESS,
};

/// Why a member was not inflated; nothing has been appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    /// Not a whole, sound gzip member: truncated, corrupt, or something else.
    #[error("not a whole gzip member")]
    BadData,
    /// The member holds more than the output has room for.
    #[error("the gzip member holds more than there is room for")]
    InsufficientSpace,
    /// libdeflate could not allocate its tables.
    #[error("out of memory for the inflater")]
    OutOfMemory,
}

/// A reusable libdeflate decompressor.
#[derive(Debug)]
pub struct Inflater {
    decompressor: NonNull<libdeflate_decompressor>,
}

// SAFETY: the decompressor is plain heap memory that this value alone owns: libdeflate keeps no thread-local state and
// no reference to it, so it may be used from another thread once it has moved there. There is no `Sync`: every use
// takes `&mut self`.
unsafe impl Send for Inflater {}

impl Inflater {
    /// Allocates a decompressor.
    pub fn new() -> Result<Inflater, InflateError> {
        // SAFETY: the function takes no argument and returns null or a decompressor that the caller owns.
        let decompressor = unsafe { libdeflate_alloc_decompressor() };
        NonNull::new(decompressor)
            .map(|decompressor| Inflater { decompressor })
            .ok_or(InflateError::OutOfMemory)
    }

    /// Inflates the gzip member at the beginning of `input` into the spare capacity of `output`, checks its length and
    /// CRC, and returns how many bytes of `input` the member took. The vector is never grown: the caller reserves.
    pub fn append_member(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<usize, InflateError> {
        let spare = output.spare_capacity_mut();
        let room = spare.len();
        let mut consumed = 0usize;
        let mut produced = 0usize;
        // SAFETY: `decompressor` is live and used by nobody else (`&mut self`); `input` is readable for `input.len()`
        // bytes; `spare` is writable for `room` bytes, may be uninitialised since libdeflate only writes there before
        // it reads back, and does not overlap `input`, since it is borrowed mutably; both counters outlive the call.
        let result = unsafe {
            libdeflate_gzip_decompress_ex(
                self.decompressor.as_ptr(),
                input.as_ptr().cast::<c_void>(),
                input.len(),
                spare.as_mut_ptr().cast::<c_void>(),
                room,
                &mut consumed,
                &mut produced,
            )
        };
        if result == libdeflate_result_LIBDEFLATE_SUCCESS && produced <= room {
            let length = output.len() + produced;
            // SAFETY: on success libdeflate has written the first `produced` bytes of the spare capacity, and
            // `produced <= room` has just been checked, so `length` is within the capacity and initialised.
            unsafe { output.set_len(length) };
            return Ok(consumed.min(input.len()));
        }
        if result == libdeflate_result_LIBDEFLATE_INSUFFICIENT_SPACE {
            return Err(InflateError::InsufficientSpace);
        }
        Err(InflateError::BadData)
    }
}

impl Drop for Inflater {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `libdeflate_alloc_decompressor`, and is freed once, here.
        unsafe { libdeflate_free_decompressor(self.decompressor.as_ptr()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn members_are_appended_one_by_one() {
        let mut input = gzip(b"first\n");
        let first = input.len();
        input.extend(gzip(b"second\n"));
        let mut inflater = Inflater::new().unwrap();
        let mut output = Vec::with_capacity(64);
        assert_eq!(inflater.append_member(&input, &mut output), Ok(first));
        assert_eq!(inflater.append_member(&input[first..], &mut output), Ok(input.len() - first));
        assert_eq!(output, b"first\nsecond\n");
    }

    #[test]
    fn too_little_room_and_bad_data_append_nothing() {
        let input = gzip(&[b'x'; 4096]);
        let mut inflater = Inflater::new().unwrap();
        let mut output = Vec::with_capacity(100);
        assert_eq!(inflater.append_member(&input, &mut output), Err(InflateError::InsufficientSpace));
        assert!(output.is_empty());
        output.reserve(8192);
        assert_eq!(
            inflater.append_member(&input[..input.len() - 9], &mut output),
            Err(InflateError::BadData)
        );
        assert_eq!(inflater.append_member(b"plain", &mut output), Err(InflateError::BadData));
        assert_eq!(inflater.append_member(b"", &mut output), Err(InflateError::BadData));
        assert!(output.is_empty());
    }
}
