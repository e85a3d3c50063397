//! As much of HTTP/1.1 as both ends need: where a message ends.

/// Of the first message of these bytes, if it is whole: where its body begins, and where it ends.
pub fn message(bytes: &[u8]) -> Option<(usize, usize)> {
    let body = bytes.windows(4).position(|it| it == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..body]);
    let length = |line: &str| {
        let (name, value) = line.split_once(':')?;
        if name.eq_ignore_ascii_case("content-length") { value.trim().parse::<usize>().ok() } else { None }
    };
    let end = body + head.split("\r\n").find_map(length).unwrap_or(0);
    if bytes.len() < end { None } else { Some((body, end)) }
}
