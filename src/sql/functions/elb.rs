//! Functions that take apart the URLs that load balancers log.
//!
//! A client may send anything as a URL, so nothing here is an error: what is not there is NULL.

use arrow::datatypes::DataType;

use super::function::{Param, Spec, input, no_check, text, texts};

const URL: &[Param] = &[text("url", "a URL as a load balancer logs it, such as request_url")];

/// The part between the scheme and the path; `None` where there is no scheme.
fn authority(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    if scheme.is_empty() || !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    {
        return None;
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    rest.get(..end)
}

/// The host without port, user and brackets.
fn host(url: &str) -> Option<&str> {
    let authority = authority(url)?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.split_once(']').map(|(v6, _)| v6)?,
        None => host.split_once(':').map_or(host, |(host, _)| host),
    };
    (!host.is_empty()).then_some(host)
}

/// The path without query and fragment; `/` where the URL ends with the host.
fn path(url: &str) -> Option<&str> {
    let rest = match authority(url) {
        Some(authority) => {
            let start = url.find("://")?.checked_add(3)?.checked_add(authority.len())?;
            url.get(start..)?
        }
        None if url.starts_with('/') => url,
        None => return None,
    };
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    match rest.get(..end)? {
        "" => Some("/"),
        path => Some(path),
    }
}

/// Endings under which anybody can register a name, of two labels: the common ones, not the whole public suffix list.
const TWO_LABEL_SUFFIXES: &[&str] = &[
    "ac.uk", "co.uk", "gov.uk", "ltd.uk", "me.uk", "net.uk", "org.uk", "plc.uk", "com.au", "edu.au",
    "gov.au", "id.au", "net.au", "org.au", "ac.nz", "co.nz", "govt.nz", "net.nz", "org.nz", "ac.jp", "ad.jp",
    "co.jp", "go.jp", "gr.jp", "lg.jp", "ne.jp", "or.jp", "ac.kr", "co.kr", "go.kr", "ne.kr", "or.kr",
    "com.cn", "edu.cn", "gov.cn", "net.cn", "org.cn", "com.hk", "com.tw", "org.tw", "com.sg", "edu.sg",
    "gov.sg", "com.my", "com.ph", "co.th", "in.th", "co.id", "or.id", "web.id", "com.vn", "ac.in", "co.in",
    "firm.in", "gov.in", "net.in", "org.in", "com.pk", "com.bd", "com.br", "gov.br", "net.br", "org.br",
    "com.ar", "gob.ar", "com.mx", "gob.mx", "org.mx", "com.co", "com.pe", "com.ve", "com.uy", "com.ec",
    "ac.za", "co.za", "gov.za", "org.za", "co.ke", "com.ng", "com.gh", "com.eg", "com.tr", "gov.tr",
    "org.tr", "ac.il", "co.il", "gov.il", "org.il", "com.sa", "com.pl", "net.pl", "org.pl", "com.ua",
    "gov.ua", "com.ru", "co.at", "or.at", "com.es", "com.pt", "com.gr", "com.cy", "com.mt",
];

/// A host name as a `Host` header has it, without its port; an address stays as it is.
fn without_port(name: &str) -> &str {
    if crate::net::parse_ip_str(name).is_some() {
        return name;
    }
    let bare = match name.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => name,
    };
    bare.strip_prefix('[').and_then(|v6| v6.strip_suffix(']')).unwrap_or(bare)
}

/// The last labels of a host that somebody can register, in lower case; an address is its own.
fn registered_domain(name: &str) -> Option<String> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    if name.is_empty() || crate::net::parse_ip_str(&name).is_some() {
        return (!name.is_empty()).then_some(name);
    }
    if name.split('.').any(str::is_empty) {
        return None;
    }
    let dots: Vec<usize> = name.rmatch_indices('.').map(|(at, _)| at).collect();
    let suffix_of_two = dots
        .get(1)
        .map(|at| at.saturating_add(1))
        .or((dots.len() == 1).then_some(0))
        .and_then(|start| name.get(start..))
        .is_some_and(|ending| TWO_LABEL_SUFFIXES.contains(&ending));
    let before = dots.get(if suffix_of_two { 2 } else { 1 });
    let start = before.map_or(0, |at| at.saturating_add(1));
    name.get(start..).map(str::to_owned)
}

/// The functions of this module.
pub(super) static SPECS: &[Spec] = &[
    Spec {
        name: "url_host",
        params: URL,
        returns: DataType::Utf8View,
        description: "the host of a URL, without user, port and brackets; NULL where the text has no scheme and host",
        example: "url_host('https://shop.example.com:443/cart?id=7')",
        result: "shop.example.com",
        check: no_check,
        eval: |_, inputs, rows| {
            let url = input(inputs, 0)?;
            Ok(texts(rows, |row| host(url.text(row)?)))
        },
    },
    Spec {
        name: "url_path",
        params: URL,
        returns: DataType::Utf8View,
        description: "the path of a URL, without query and fragment; / where the URL ends with its host",
        example: "url_path('https://shop.example.com:443/cart?id=7')",
        result: "/cart",
        check: no_check,
        eval: |_, inputs, rows| {
            let url = input(inputs, 0)?;
            Ok(texts(rows, |row| path(url.text(row)?)))
        },
    },
    Spec {
        name: "domain",
        params: &[text("name", "a host name or a URL")],
        returns: DataType::Utf8View,
        description: "the registered domain of a host name (with or without a port) or URL in lower case: its last two labels, or three under \
                      the common two-label endings such as co.uk; an address is its own",
        example: "domain('https://shop.example.co.uk/cart')",
        result: "example.co.uk",
        check: no_check,
        eval: |_, inputs, rows| {
            let name = input(inputs, 0)?;
            Ok(texts(rows, |row| {
                let name = name.text(row)?;
                registered_domain(if name.contains("://") { host(name)? } else { without_port(name) })
            }))
        },
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_come_apart() {
        for (url, the_host, the_path) in [
            ("http://www.example.com:80/", Some("www.example.com"), Some("/")),
            ("https://www.example.com", Some("www.example.com"), Some("/")),
            ("https://www.example.com?x=/y", Some("www.example.com"), Some("/")),
            ("https://u:p@example.com:443/a/b?c#d", Some("example.com"), Some("/a/b")),
            ("https://[2001:db8::1]:443/x", Some("2001:db8::1"), Some("/x")),
            ("/only/path?q", None, Some("/only/path")),
            ("http://:80/", None, Some("/")),
            ("https://[broken/x", None, Some("/x")),
            ("-", None, None),
            ("", None, None),
            ("://x", None, None),
        ] {
            assert_eq!((host(url), path(url)), (the_host, the_path), "{url}");
        }
    }

    #[test]
    fn a_port_is_no_part_of_a_domain() {
        for (name, bare) in [
            ("WWW.Example.COM:443", "WWW.Example.COM"),
            ("example.com", "example.com"),
            ("example.com:", "example.com:"),
            ("192.0.2.1:8080", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
        ] {
            assert_eq!(without_port(name), bare, "{name}");
        }
    }

    #[test]
    fn domains_are_what_can_be_registered() {
        for (name, domain) in [
            ("a.b.example.com", Some("example.com")),
            ("example.com", Some("example.com")),
            ("Shop.Example.CO.UK.", Some("example.co.uk")),
            ("example.co.uk", Some("example.co.uk")),
            ("co.uk", Some("co.uk")),
            ("localhost", Some("localhost")),
            ("192.0.2.1", Some("192.0.2.1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("", None),
            ("..", None),
            ("a..b", None),
            (".example.com", None),
        ] {
            assert_eq!(registered_domain(name).as_deref(), domain, "{name}");
        }
    }
}
