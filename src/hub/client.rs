//! Requests to the hub: who is asked, who hears the token, and why an answer is none.

use super::settings::Settings;
use crate::{Error, Result};
use std::io::Read;
use std::time::Duration;
use ureq::http::{HeaderMap, Response, Uri, header};
use ureq::{Agent, Body, RequestBuilder, typestate::WithoutBody};

/// How many redirects are followed.
const REDIRECTS: usize = 10;

/// The name for a file's bytes where the answer itself is only a redirect to them.
pub(super) const LINKED_ETAG: &str = "x-linked-etag";

/// Longest answer that is read whole.
const LONGEST_LIST: u64 = 64 << 20;

/// Why a request gave nothing.
pub(super) enum Failure {
    /// It may do another time, after so long if the hub said so.
    Passing(String, Option<Duration>),
    /// It will not do another time.
    Lasting(String),
    /// Nothing was heard for as long as patience lasts.
    Silence,
    /// A trouble of our own, such as a full disk.
    Own(Error),
}

impl Failure {
    pub(super) fn passing(message: impl Into<String>) -> Self {
        Self::Passing(message.into(), None)
    }
}

/// Shorthand for what a request gives.
pub(super) type Outcome<T> = std::result::Result<T, Failure>;

impl From<ureq::Error> for Failure {
    fn from(error: ureq::Error) -> Self {
        match error {
            ureq::Error::Timeout(_) => Self::Silence,
            other => Self::passing(other.to_string()),
        }
    }
}

/// What two addresses share if the same server answers: scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin(String, String, u16);

impl Origin {
    fn of(uri: &Uri) -> Option<Self> {
        let scheme = uri.scheme_str()?.to_ascii_lowercase();
        let usual = match scheme.as_str() {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        let host = uri.host().filter(|host| !host.is_empty())?.to_ascii_lowercase();
        Some(Self(scheme, host, uri.port_u16().unwrap_or(usual)))
    }
}

/// Where a redirect from `base` leads.
fn joined(base: &Uri, location: &str) -> Option<Uri> {
    let (scheme, authority) = (base.scheme_str()?, base.authority()?);
    let path = base.path();
    let first = location.split(['/', '?', '#']).next().unwrap_or_default();
    let whole = if first.ends_with(':') {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else if location.starts_with('?') {
        format!("{scheme}://{authority}{path}{location}")
    } else {
        let folder = &path[..path.rfind('/').map_or(0, |slash| slash + 1)];
        format!("{scheme}://{authority}{folder}{location}")
    };
    whole.parse().ok().filter(|uri| Origin::of(uri).is_some())
}

/// An answer, and what the redirects on the way to it said.
pub(super) struct Answer {
    pub(super) response: Response<Body>,
    passed: Vec<HeaderMap>,
}

impl Answer {
    /// A header of the answer itself.
    pub(super) fn own(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// A header of the answer or, before it, of a redirect to it.
    pub(super) fn any(&self, name: &str) -> Option<&str> {
        let passed = self.passed.iter().find_map(|headers| headers.get(name)?.to_str().ok());
        passed.or_else(|| self.own(name))
    }

    /// How the bytes are packed, if they are.
    pub(super) fn packing(&self) -> Option<&str> {
        self.own("content-encoding")
            .filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("identity"))
    }

    /// Whether this is a page for people.
    pub(super) fn is_page(&self) -> bool {
        self.own("content-type")
            .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/html"))
    }
}

/// One that asks the hub.
pub(super) struct Client {
    agent: Agent,
    pub(super) endpoint: String,
    origin: Origin,
    token: Option<String>,
}

impl Client {
    pub(super) fn new(settings: &Settings) -> Result<Self> {
        let endpoint = settings.endpoint.clone();
        let origin = endpoint.parse().ok().and_then(|uri| Origin::of(&uri)).ok_or_else(|| {
            let why = format!(
                "is {endpoint:?}; give the address of a hub, such as https://huggingface.co"
            );
            Error::setting("HF_ENDPOINT", why)
        })?;
        let token = settings.token.clone();
        if token.as_ref().is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
            let message = "the token in HF_TOKEN, or in the file of HF_TOKEN_PATH, has spaces or other characters that no \
                           token has; copy it anew";
            return Err(Error::input(message));
        }
        let patience = Some(settings.patience);
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            // Redirects are followed here, for the token must not go along to other hosts.
            .max_redirects(0)
            .timeout_resolve(patience)
            .timeout_connect(patience)
            .timeout_send_request(patience)
            .timeout_recv_response(patience)
            .timeout_per_read(patience)
            .user_agent(concat!("kaiwu/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self { agent: agent.into(), endpoint, origin, token })
    }

    /// Headers only, of the file itself or of the last answer before it that names its bytes.
    pub(super) fn head(&self, url: &str) -> Outcome<Answer> {
        let answer = self.ask(url, &|uri| self.agent.head(uri), true)?;
        match answer.response.status().is_client_error()
            || answer.response.status().is_server_error()
        {
            // One that does not know such requests: the body is left unread.
            true => self.ask(url, &|uri| self.agent.get(uri), true),
            false => Ok(answer),
        }
    }

    /// All bytes, or those from `start` on.
    pub(super) fn get(&self, url: &str, start: u64) -> Outcome<Answer> {
        let request = |uri: &Uri| {
            let request = self.agent.get(uri);
            if start > 0 {
                request.header(header::RANGE, format!("bytes={start}-"))
            } else {
                request
            }
        };
        self.ask(url, &request, false)
    }

    /// An answer that is JSON.
    pub(super) fn json(&self, url: &str) -> Outcome<serde_json::Value> {
        let mut answer = self.get(url, 0)?;
        let is_page = answer.is_page();
        let packed = answer.packing().is_some();
        let body = answer.response.body_mut().with_config().limit(LONGEST_LIST).reader();
        let read = match packed {
            // Packed bytes may become a thousand times as many.
            true => {
                serde_json::from_reader(flate2::read::MultiGzDecoder::new(body).take(LONGEST_LIST))
            }
            false => serde_json::from_reader(std::io::BufReader::new(body)),
        };
        read.map_err(|error| match error.is_io() {
            true => broken(error.into()),
            false if is_page => Failure::Lasting(page(&self.endpoint)),
            false => Failure::Lasting(format!(
                "{} answered with what is no JSON ({error}); HF_ENDPOINT must be a hub's address",
                self.endpoint
            )),
        })
    }

    fn ask(
        &self,
        url: &str,
        request: &dyn Fn(&Uri) -> RequestBuilder<WithoutBody>,
        is_head: bool,
    ) -> Outcome<Answer> {
        let mut uri: Uri =
            url.parse().map_err(|error| Failure::Lasting(format!("{url}: {error}")))?;
        // Once another host was in between, nobody knows who chose the address.
        let mut at_home = Origin::of(&uri).as_ref() == Some(&self.origin);
        let mut passed = vec![];
        loop {
            let mut request = request(&uri).header(header::ACCEPT_ENCODING, "identity");
            if let Some(token) = self.token.as_ref().filter(|_| at_home) {
                request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
            }
            let response = request.call()?;
            let status = response.status();
            let location = response.headers().get(header::LOCATION);
            let Some(location) = location.filter(|_| status.is_redirection()) else {
                return match status.as_u16() {
                    200..300 => Ok(Answer { response, passed }),
                    405 | 501 if is_head => Ok(Answer { response, passed }),
                    416 if !is_head => Ok(Answer { response, passed }),
                    _ => Err(self.refused(response, &uri, at_home)),
                };
            };
            let to = location.to_str().ok().and_then(|location| joined(&uri, location));
            let to =
                to.ok_or_else(|| Failure::Lasting(format!("{uri} is a redirect to {location:?}")))?;
            at_home &= Origin::of(&to).as_ref() == Some(&self.origin);
            if is_head && !at_home && response.headers().contains_key(LINKED_ETAG) {
                return Ok(Answer { response, passed });
            }
            if passed.len() == REDIRECTS {
                return Err(Failure::Lasting(format!(
                    "{url} is redirected more than {REDIRECTS} times"
                )));
            }
            passed.push(response.headers().clone());
            uri = to;
        }
    }

    /// What an answer with a status of failure means.
    fn refused(&self, mut response: Response<Body>, uri: &Uri, at_home: bool) -> Failure {
        let status = response.status();
        let header =
            |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        // Words of a stranger's: few, and without line breaks or escapes of terminals.
        let words = header("x-error-message").map(|words| {
            let plain = words.chars().filter(|c| !c.is_control()).take(200);
            format!(" ({})", plain.collect::<String>())
        });
        let words = words.unwrap_or_default();
        let wait = header("retry-after")
            .and_then(|text| text.trim().parse().ok())
            .map(Duration::from_secs);
        let _ = response.body_mut().with_config().limit(1 << 16).read_to_vec();
        match status.as_u16() {
            // Signed addresses of other hosts expire; the hub gives new ones.
            400..500 if !at_home => Failure::passing(format!(
                "{} answered {status}{words}",
                uri.host().unwrap_or("the host")
            )),
            408 | 425 | 429 | 500.. => {
                Failure::Passing(format!("the hub answered {status}{words}"), wait)
            }
            401 | 403 | 404 | 410 => {
                let remedy = match self.token {
                    None => "set HF_TOKEN",
                    Some(_) => "the token it got does not suffice",
                };
                Failure::Lasting(format!(
                    "the hub has no such model or file at this revision, or shows it to some only ({remedy}): it answered {status}{words}"
                ))
            }
            _ => Failure::Lasting(format!("the hub answered {status}{words}")),
        }
    }
}

/// A body that broke off.
pub(super) fn broken(error: std::io::Error) -> Failure {
    ureq::Error::from(error).into()
}

/// A page where a hub would have answered.
pub(super) fn page(endpoint: &str) -> String {
    format!(
        "{endpoint} answered with a web page (HTML) where a hub answers otherwise: HF_ENDPOINT is no hub's address, or this \
         network wants a sign-in first"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_where_browsers_go() {
        let base = "http://Hub:8000/a/resolve/b?c=d".parse().unwrap();
        let rows = [
            ("https://cdn/x?y=z", Some("https://cdn/x?y=z")),
            ("//cdn/x", Some("http://cdn/x")),
            ("/x", Some("http://Hub:8000/x")),
            ("x?y", Some("http://Hub:8000/a/resolve/x?y")),
            ("?y", Some("http://Hub:8000/a/resolve/b?y")),
            ("ftp://cdn/x", None),
            ("file:///etc/passwd", None),
            ("http://", None),
        ];
        for (location, expected) in rows {
            let found = joined(&base, location);
            let expected: Option<Uri> = expected.map(|uri| uri.parse().unwrap());
            assert_eq!(found, expected, "{location}");
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let origin = |uri: &str| Origin::of(&uri.parse().unwrap());
        let home = origin("https://hub.example");
        for same in ["https://HUB.example:443/x", "https://user:secret@hub.example/"] {
            assert_eq!(origin(same), home, "{same}");
        }
        let others = [
            "http://hub.example",
            "https://hub.example:8443",
            "https://hub.example.evil",
            "https://hub.example@evil/",
            "https://hub.example:443@evil/",
        ];
        for other in others {
            assert_ne!(origin(other), home, "{other}");
        }
        assert_eq!(origin("/x"), None);
    }
}
