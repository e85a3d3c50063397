//! Multi-status replies (RFC 4918 section 13), read with bounds: no document type, no entity beyond the five that XML
//! knows, no depth and no number of elements that no honest server needs.

use std::borrow::Cow;

use huiliu_rest::xml::character;
use quick_xml::NsReader;
use quick_xml::events::Event;
use quick_xml::name::ResolveResult;

/// The namespace of WebDAV.
pub const DAV: &str = "DAV:";

/// Elements inside elements: a privilege inside a property inside a reply is ten deep.
const DEPTH_MAX: usize = 32;

/// Elements of one reply: 100,000 members with six elements each.
const ELEMENTS_MAX: usize = 600_000;

/// What is said of an entity that XML does not know by itself.
const UNKNOWN: &str = "it uses an unknown entity";

/// An element with its text and what is inside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// Namespace and local name.
    pub name: (String, String),
    /// The text directly inside, untrimmed.
    pub text: String,
    /// The elements inside, in order.
    pub children: Vec<Element>,
}

impl Element {
    /// The first child of this name.
    pub fn child(&self, namespace: &str, local: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.is(namespace, local))
    }

    /// Every child of this name.
    pub fn all<'a>(&'a self, namespace: &'a str, local: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.is(namespace, local))
    }

    /// Whether it has this name.
    pub fn is(&self, namespace: &str, local: &str) -> bool {
        self.name.0 == namespace && self.name.1 == local
    }

    /// Whether an element of this name is anywhere inside.
    pub fn holds(&self, namespace: &str, local: &str) -> bool {
        self.children.iter().any(|child| child.is(namespace, local) || child.holds(namespace, local))
    }

    /// The trimmed text of a child `DAV:href`.
    pub fn href(&self) -> Option<&str> {
        self.child(DAV, "href").map(|href| href.text.trim()).filter(|href| !href.is_empty())
    }
}

/// What a reply says of one resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    /// Where it is, as the server wrote it.
    pub href: String,
    /// HTTP status of the resource as a whole, if told.
    pub status: Option<u16>,
    /// The properties that were found (status 200 of their group).
    pub found: Vec<Element>,
    /// The `DAV:error` of the resource, if told.
    pub error: Option<Element>,
}

impl Resource {
    /// A found property.
    pub fn property(&self, namespace: &str, local: &str) -> Option<&Element> {
        self.found.iter().find(|property| property.is(namespace, local))
    }

    /// The found entity tag, with its quotes.
    pub fn etag(&self) -> Option<&str> {
        self.property(DAV, "getetag").map(|etag| etag.text.trim()).filter(|etag| !etag.is_empty())
    }
}

/// A multi-status reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MultiStatus {
    /// The resources, in order.
    pub resources: Vec<Resource>,
    /// The collection's new sync token, in a reply to `sync-collection`.
    pub sync_token: Option<String>,
}

/// Reads a multi-status reply.
///
/// # Errors
/// What is wrong with it, in words.
pub fn multi_status(body: &[u8]) -> Result<MultiStatus, String> {
    let root = document(body)?;
    if !root.is(DAV, "multistatus") {
        return Err(format!("a DAV multistatus was expected, and `{}` came", short(&root.name.1)));
    }
    let mut reply = MultiStatus::default();
    for child in root.children {
        if child.is(DAV, "sync-token") {
            reply.sync_token = Some(child.text.trim().to_owned());
        } else if child.is(DAV, "response") {
            // One status may stand for several hrefs (RFC 4918 section 14.24).
            let hrefs: Vec<String> = child.all(DAV, "href").map(|href| href.text.trim().to_owned()).collect();
            let status = child.child(DAV, "status").and_then(status_of);
            let error = child.child(DAV, "error").cloned();
            let groups = child.children.into_iter().filter(|inner| inner.is(DAV, "propstat"));
            let fine = |group: &Element| group.child(DAV, "status").and_then(status_of).is_none_or(|code| code == 200);
            let props = groups.filter(fine).flat_map(|group| group.children).filter(|inner| inner.is(DAV, "prop"));
            let found: Vec<Element> = props.flat_map(|prop| prop.children).collect();
            for href in hrefs {
                reply.resources.push(Resource { href, status, found: found.clone(), error: error.clone() });
            }
        }
    }
    Ok(reply)
}

/// `HTTP/1.1 404 Not Found`.
fn status_of(element: &Element) -> Option<u16> {
    element.text.split_whitespace().nth(1)?.parse().ok()
}

/// Whether a body is a `DAV:error` that names this precondition.
pub fn is_error(body: &[u8], local: &str) -> bool {
    document(body).is_ok_and(|root| root.is(DAV, "error") && root.children.iter().any(|child| child.name.1 == local))
}

/// Reads a whole document.
///
/// # Errors
/// What is wrong with it, in words.
pub fn document(body: &[u8]) -> Result<Element, String> {
    let text = decoded(body)?;
    let mut reader = NsReader::from_str(&text);
    let mut open: Vec<Element> = Vec::new();
    let mut elements = 0;
    loop {
        let (namespace, event) = reader.read_resolved_event().map_err(|_| "it is not well-formed XML".to_owned())?;
        let done = match event {
            Event::Start(start) | Event::Empty(start) if elements >= ELEMENTS_MAX || open.len() >= DEPTH_MAX => {
                let _ = start;
                return Err("it has too many or too deeply nested elements".to_owned());
            }
            Event::Start(start) => {
                elements += 1;
                open.push(named(&namespace, start.local_name().as_ref()));
                None
            }
            Event::Empty(start) => {
                elements += 1;
                let element = named(&namespace, start.local_name().as_ref());
                close(&mut open, element)
            }
            Event::End(_) => {
                let element = open.pop().ok_or("it is not well-formed XML")?;
                close(&mut open, element)
            }
            Event::Text(piece) => say(&mut open, &piece.xml10_content()),
            Event::CData(piece) => say(&mut open, &piece.xml10_content()),
            Event::GeneralRef(reference) => {
                say(&mut open, character(&reference).ok_or(UNKNOWN)?.encode_utf8(&mut [0; 4]))
            }
            Event::DocType(_) => return Err("it declares a document type".to_owned()),
            Event::Eof => return Err("it is cut off".to_owned()),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => None,
        };
        if let Some(root) = done {
            return Ok(root);
        }
    }
}

fn decoded(body: &[u8]) -> Result<Cow<'_, str>, String> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    std::str::from_utf8(body).map(Cow::Borrowed).map_err(|_| "it is not UTF-8".to_owned())
}

fn named(namespace: &ResolveResult<'_>, local: &str) -> Element {
    let namespace = match namespace {
        ResolveResult::Bound(bound) => bound.as_ref().to_owned(),
        _ => String::new(),
    };
    Element { name: (namespace, local.to_owned()), ..Element::default() }
}

/// Puts a finished element into the one around it; answers it if there is none.
fn close(open: &mut [Element], element: Element) -> Option<Element> {
    match open.last_mut() {
        Some(parent) => {
            parent.children.push(element);
            None
        }
        None => Some(element),
    }
}

fn say(open: &mut [Element], piece: &str) -> Option<Element> {
    if let Some(inner) = open.last_mut() {
        inner.text.push_str(piece);
    }
    None
}

fn short(name: &str) -> String {
    name.chars().take(40).collect()
}

/// Text that may stand inside an element.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_read_whatever_its_prefixes() {
        let body = br#"<?xml version="1.0"?><d:multistatus xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:carddav">
<d:response><d:href>/a.vcf</d:href><d:propstat><d:prop><d:getetag>"1&amp;2"</d:getetag><c:address-data><![CDATA[BEGIN:VCARD
]]>END:VCARD&#13;</c:address-data></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat>
<d:propstat><d:prop><d:displayname/></d:prop><d:status>HTTP/1.1 404 Not Found</d:status></d:propstat></d:response>
<d:response><d:href>/b.vcf</d:href><d:status>HTTP/1.1 404 Not Found</d:status></d:response>
<d:sync-token> t:1 </d:sync-token></d:multistatus>"#;
        let reply = multi_status(body).unwrap();
        assert_eq!(reply.sync_token.as_deref(), Some("t:1"));
        let [first, second] = &reply.resources[..] else { panic!("{reply:?}") };
        assert_eq!((first.href.as_str(), first.etag(), first.status), ("/a.vcf", Some("\"1&2\""), None));
        let data = first.property("urn:ietf:params:xml:ns:carddav", "address-data").unwrap();
        assert_eq!(data.text, "BEGIN:VCARD\nEND:VCARD\r");
        assert!(first.property(DAV, "displayname").is_none(), "a property that was not found is not there");
        assert_eq!((second.href.as_str(), second.status), ("/b.vcf", Some(404)));
        assert!(is_error(br#"<error xmlns="DAV:"><valid-sync-token/></error>"#, "valid-sync-token"));
        assert!(!is_error(b"<html/>", "valid-sync-token"));
    }

    #[test]
    fn hostile_documents_are_refused() {
        let check = |body: &str, word: &str| {
            let told = document(body.as_bytes()).unwrap_err();
            assert!(told.contains(word), "{told}");
        };
        check("<!DOCTYPE x [<!ENTITY e \"aaaa\">]><x>&e;</x>", "document type");
        check("<x>&e;</x>", "unknown entity");
        check("<x><y></x>", "well-formed");
        check("<x><y>", "cut off");
        check("", "cut off");
        check(&"<a>".repeat(DEPTH_MAX + 1), "too many");
        assert!(document(b"\xff\xfe<x/>").unwrap_err().contains("UTF-8"));
        assert!(multi_status(b"<html></html>").unwrap_err().contains("multistatus"));
    }
}
