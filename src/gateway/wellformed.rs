//! What HTTP/1.1 wants of a head and hyper leaves to us: who is asked, and one way only to tell where a body ends.

use http::{HeaderMap, Version, header};

use crate::core::Request;

/// Whether a head is as RFC 9112 has it. One that is not may be read otherwise by whoever stands before us, so nothing of
/// it may be believed, and the connection has to end.
pub(super) fn is_well_formed(request: &Request) -> bool {
    let headers = request.headers();
    match request.version() {
        Version::HTTP_11 => names_one_host(headers, true) && is_framed(headers),
        Version::HTTP_10 => names_one_host(headers, false) && !headers.contains_key(header::TRANSFER_ENCODING),
        // It has frames of its own.
        _ => true,
    }
}

/// Section 3.2: one `Host`, which before HTTP/1.1 may be missing.
fn names_one_host(headers: &HeaderMap, wanted: bool) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => !wanted,
        (Some(host), None) => {
            host.as_bytes().iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:[]%".contains(byte))
        }
        (Some(_), Some(_)) => false,
    }
}

/// Section 6.1: no coding but `chunked`, and that once. Others are not spoken here.
fn is_framed(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => {
            coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked")
                && !headers.contains_key(header::CONTENT_LENGTH)
        }
        (Some(_), Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_head_names_one_host_and_one_end() {
        for (version, lines, expected) in [
            (Version::HTTP_11, &[("host", "a.example:8080")][..], true),
            (Version::HTTP_11, &[("host", "[::1]:8080")], true),
            (Version::HTTP_11, &[("host", "")], true),
            (Version::HTTP_11, &[], false),
            (Version::HTTP_11, &[("host", "a"), ("host", "a")], false),
            (Version::HTTP_11, &[("host", "a/b")], false),
            (Version::HTTP_11, &[("host", "u@a")], false),
            (Version::HTTP_11, &[("host", "a b")], false),
            (Version::HTTP_10, &[], true),
            (Version::HTTP_10, &[("host", "a"), ("host", "b")], false),
            (Version::HTTP_10, &[("transfer-encoding", "chunked")], false),
            (Version::HTTP_11, &[("host", "a"), ("transfer-encoding", "Chunked")], true),
            (Version::HTTP_11, &[("host", "a"), ("transfer-encoding", "gzip, chunked")], false),
            (Version::HTTP_11, &[("host", "a"), ("transfer-encoding", "chunked, chunked")], false),
            (
                Version::HTTP_11,
                &[("host", "a"), ("transfer-encoding", "gzip"), ("transfer-encoding", "chunked")],
                false,
            ),
            (Version::HTTP_11, &[("host", "a"), ("transfer-encoding", "chunked"), ("content-length", "0")], false),
            (Version::HTTP_2, &[], true),
        ] {
            let mut request = Request::new(Bytes::new());
            *request.version_mut() = version;
            for (name, value) in lines {
                request.headers_mut().append(*name, value.parse().expect("a header value"));
            }
            assert_eq!(is_well_formed(&request), expected, "{version:?} {lines:?}");
        }
    }
}
