//! Who is signed in to the console: one-time links, and the sessions they become.
//!
//! Only hashes are kept, in memory and in bounded number; a restart signs everybody out. A session is its maker's: it has the name and the
//! role of the token that the link was made with, and ends with it. Depends on `clock` and `random`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use super::role::Role;
use super::who::Who;
use crate::alias::secret::Secret;
use crate::clock::{Clock, Timestamp};
use crate::random::Random;

/// Where links lead; the token follows.
const SIGN_IN_PATH: &str = "/sign-in/";
/// How long a link waits to be opened.
pub const LINK_LIVES: Duration = Duration::from_secs(60);
/// How long a session lasts at most.
pub const SESSION_LIVES: Duration = Duration::from_secs(12 * 3600);
/// How long a session lasts in which nothing is asked for.
pub const SESSION_IDLE: Duration = Duration::from_secs(3600);
/// Links that wait at once; beyond, the oldest goes.
const LINKS_MAX: usize = 16;
/// Sessions at once; beyond, the one that was idle longest ends.
const SESSIONS_MAX: usize = 64;
/// Links of one named token that wait, and its sessions: beyond, the oldest of its own goes, so that none takes the places of the others.
const LINKS_PER_TOKEN_MAX: usize = 4;
const SESSIONS_PER_TOKEN_MAX: usize = 8;
/// 256 bits: beyond guessing.
const TOKEN_BYTES: usize = 32;
/// What a session's token is turned into for its forms.
const FORMS: &[u8] = b"lockgate console forms";

type Fingerprint = [u8; 32];

/// Links and sessions of one host.
#[derive(Debug)]
pub struct Sessions {
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Oldest first.
    links: Vec<(Fingerprint, Timestamp, Who)>,
    sessions: HashMap<Fingerprint, Seen>,
}

#[derive(Clone, Debug)]
struct Seen {
    who: Who,
    opened_at: Timestamp,
    last_at: Timestamp,
}

/// A link that was made.
#[derive(Debug)]
pub struct Link {
    /// What the link ends in.
    pub token: Secret,
    pub expires_at: Timestamp,
}

impl Link {
    /// To be opened at the address under which a browser reaches the host.
    pub fn path(&self) -> String {
        format!("{SIGN_IN_PATH}{}", String::from_utf8_lossy(self.token.expose()))
    }
}

/// Somebody who is signed in.
#[derive(Clone, Debug)]
pub struct Session {
    who: Who,
    id: Fingerprint,
    forms: Secret,
    /// When it ends, however busy it is.
    pub ends_at: Timestamp,
}

impl Session {
    /// Who is signed in.
    pub fn who(&self) -> &Who {
        &self.who
    }

    /// Whether what needs the role `needed` is allowed.
    pub fn may(&self, needed: Role) -> bool {
        self.who.may(needed)
    }

    /// Tells sessions apart; opens nothing.
    pub fn id(&self) -> Fingerprint {
        self.id
    }

    /// What every form of this session carries. Another site cannot read it, and so not send it (CSRF).
    pub fn form_token(&self) -> String {
        hex::encode(self.forms.expose())
    }

    /// Whether a form carries what [`Session::form_token`] says; compared in constant time.
    pub fn made(&self, form_token: &str) -> bool {
        hex::decode(form_token).is_ok_and(|given| Secret::new(given) == self.forms)
    }
}

impl Sessions {
    pub fn new(clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self { clock, random, known: Mutex::default() }
    }

    /// A link that opens a session of `who` once, within [`LINK_LIVES`].
    pub fn link(&self, who: Who) -> Link {
        let token = self.token();
        let expires_at = self.clock.now().plus(LINK_LIVES);
        let mut known = self.known();
        known.make_room_for_link(&who);
        known.links.push((fingerprint(token.expose()), expires_at, who.in_the_console()));
        Link { token, expires_at }
    }

    /// Takes a link and gives the token of a new session; none for a link that was used, has expired or was never made, or whose maker's
    /// token has ended.
    pub fn open(&self, link: &str) -> Option<Secret> {
        let now = self.clock.now();
        let wanted = fingerprint(link.as_bytes());
        let token = self.token();
        let mut known = self.known();
        known.links.retain(|(_, expires_at, who)| *expires_at > now && who.lasts(now));
        let at = known.links.iter().position(|(link, ..)| *link == wanted)?;
        let (_, _, who) = known.links.remove(at);
        known.make_room(&who, now);
        known.sessions.insert(fingerprint(token.expose()), Seen { who, opened_at: now, last_at: now });
        Some(token)
    }

    /// The session that `token` opens, which is then not idle.
    pub fn find(&self, token: &str) -> Option<Session> {
        let now = self.clock.now();
        let id = fingerprint(token.as_bytes());
        let mut known = self.known();
        let seen = known.sessions.get_mut(&id)?;
        if !seen.lasts(now) {
            known.sessions.remove(&id);
            return None;
        }
        seen.last_at = now;
        Some(Session { who: seen.who.clone(), id, forms: forms(token), ends_at: seen.ends_at() })
    }

    /// Whether `session` still lasts. Being looked at does not keep it from being idle.
    pub fn lasts(&self, session: &Session) -> bool {
        let now = self.clock.now();
        self.known().sessions.get(&session.id).is_some_and(|seen| seen.lasts(now))
    }

    /// Signs out.
    pub fn end(&self, session: &Session) {
        self.known().sessions.remove(&session.id);
    }

    fn token(&self) -> Secret {
        let mut bytes = zeroize::Zeroizing::new([0; TOKEN_BYTES]);
        self.random.fill(bytes.as_mut());
        Secret::new(hex::encode(bytes.as_ref()))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn make_room_for_link(&mut self, who: &Who) {
        let of = |(_, _, other): &(Fingerprint, Timestamp, Who)| other.name() == who.name();
        if who.role() != Role::Local && self.links.iter().filter(|link| of(link)).count() >= LINKS_PER_TOKEN_MAX {
            let oldest = self.links.iter().position(of);
            oldest.map(|at| self.links.remove(at));
        }
        if self.links.len() >= LINKS_MAX {
            self.links.remove(0);
        }
    }

    fn make_room(&mut self, who: &Who, now: Timestamp) {
        self.sessions.retain(|_, seen| seen.lasts(now));
        if who.role() != Role::Local {
            self.keep_below(SESSIONS_PER_TOKEN_MAX, |seen| seen.who.name() == who.name());
        }
        self.keep_below(SESSIONS_MAX, |_| true);
    }

    /// Ends those of `these` that were idle longest, until there are fewer than `max`.
    fn keep_below(&mut self, max: usize, these: impl Fn(&Seen) -> bool) {
        let mut found: Vec<(Timestamp, Fingerprint)> =
            self.sessions.iter().filter(|(_, seen)| these(seen)).map(|(id, seen)| (seen.last_at, *id)).collect();
        found.sort_unstable();
        let beyond = (found.len() + 1).saturating_sub(max);
        for (_, id) in found.into_iter().take(beyond) {
            self.sessions.remove(&id);
        }
    }
}

impl Seen {
    fn lasts(&self, now: Timestamp) -> bool {
        now.since(self.opened_at) < SESSION_LIVES && now.since(self.last_at) < SESSION_IDLE && self.who.lasts(now)
    }

    fn ends_at(&self) -> Timestamp {
        let ends_at = self.opened_at.plus(SESSION_LIVES);
        self.who.expires_at().map_or(ends_at, |expires_at| ends_at.min(expires_at))
    }
}

fn fingerprint(token: &[u8]) -> Fingerprint {
    Sha256::digest(token).into()
}

/// Made from the session's token, so that nothing more than the token's hash has to be kept.
fn forms(token: &str) -> Secret {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length (RFC 2104 §2)")]
    let mut mac = Hmac::<Sha256>::new_from_slice(token.as_bytes()).expect("HMAC takes any key");
    mac.update(FORMS);
    Secret::new(mac.finalize().into_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::random::SeededRandom;

    fn sessions() -> (Arc<ManualClock>, Sessions) {
        let clock = Arc::new(ManualClock::at(Timestamp(1_000)));
        (clock.clone(), Sessions::new(clock, Arc::new(SeededRandom::new(1))))
    }

    fn text(secret: &Secret) -> String {
        String::from_utf8(secret.expose().to_vec()).unwrap()
    }

    fn signed_in(sessions: &Sessions) -> String {
        text(&sessions.open(&text(&sessions.link(Who::local()).token)).unwrap())
    }

    #[test]
    fn opens_nothing_with_a_link_that_was_made_up_or_used_or_has_expired() {
        let (clock, sessions) = sessions();
        for made_up in ["", "x", "é", &"0".repeat(64)] {
            assert!(sessions.open(made_up).is_none(), "{made_up}");
        }
        let link = text(&sessions.link(Who::local()).token);
        assert!(sessions.open(&link).is_some());
        assert!(sessions.open(&link).is_none(), "used");
        let late = text(&sessions.link(Who::local()).token);
        clock.advance(LINK_LIVES);
        assert!(sessions.open(&late).is_none(), "expired");
    }

    #[test]
    fn ends_a_session_that_is_idle_for_an_hour_or_twelve_hours_old() {
        let (clock, sessions) = sessions();
        let (idle, busy) = (signed_in(&sessions), signed_in(&sessions));
        for _ in 0..23 {
            clock.advance(SESSION_IDLE / 2);
            assert!(sessions.find(&busy).is_some());
        }
        assert!(sessions.find(&idle).is_none());
        clock.advance(SESSION_IDLE / 2);
        assert!(sessions.find(&busy).is_none());
    }

    #[test]
    fn is_not_kept_alive_by_a_page_that_is_left_open() {
        let (clock, sessions) = sessions();
        let token = signed_in(&sessions);
        let session = sessions.find(&token).unwrap();
        clock.advance(SESSION_IDLE / 2);
        assert!(sessions.lasts(&session));
        clock.advance(SESSION_IDLE / 2);
        assert!(!sessions.lasts(&session));
    }

    #[test]
    fn signs_out_one_session_and_no_other() {
        let (_, sessions) = sessions();
        let (one, other) = (signed_in(&sessions), signed_in(&sessions));
        sessions.end(&sessions.find(&one).unwrap());
        assert!(sessions.find(&one).is_none());
        assert!(sessions.find(&other).is_some());
    }

    #[test]
    fn takes_the_forms_of_a_session_from_no_other() {
        let (_, sessions) = sessions();
        let one = sessions.find(&signed_in(&sessions)).unwrap();
        let other = sessions.find(&signed_in(&sessions)).unwrap();
        assert!(one.made(&one.form_token()));
        for wrong in [other.form_token(), String::new(), "zz".into(), one.form_token()[..62].into()] {
            assert!(!one.made(&wrong), "{wrong}");
        }
    }

    #[test]
    fn keeps_a_bounded_number_of_links_and_of_sessions() {
        let (clock, sessions) = sessions();
        let first_link = text(&sessions.link(Who::local()).token);
        let later_links: Vec<_> = (0..LINKS_MAX).map(|_| text(&sessions.link(Who::local()).token)).collect();
        assert!(sessions.open(&first_link).is_none());
        assert!(later_links.iter().all(|link| sessions.open(link).is_some()));
        let first = signed_in(&sessions);
        clock.advance(Duration::from_secs(1));
        let others: Vec<_> = (0..SESSIONS_MAX).map(|_| signed_in(&sessions)).collect();
        assert!(sessions.find(&first).is_none());
        assert!(others.iter().all(|token| sessions.find(token).is_some()));
    }

    #[test]
    fn one_named_token_takes_no_links_or_sessions_of_others() {
        let (clock, sessions) = sessions();
        let many = Who::named("many", Role::Viewer, None);
        let other = Who::named("other", Role::Viewer, None);
        let others = text(&sessions.open(&text(&sessions.link(other.clone()).token)).unwrap());
        let waiting = text(&sessions.link(other).token);
        clock.advance(Duration::from_secs(1));
        let own: Vec<String> = (0..SESSIONS_MAX)
            .map(|_| {
                clock.advance(Duration::from_millis(1));
                text(&sessions.open(&text(&sessions.link(many.clone()).token)).unwrap())
            })
            .collect();
        let (ended, kept) = own.split_at(own.len() - SESSIONS_PER_TOKEN_MAX);
        assert!(ended.iter().all(|token| sessions.find(token).is_none()), "its own oldest went");
        assert!(kept.iter().chain([&others]).all(|token| sessions.find(token).is_some()));
        (0..LINKS_MAX).for_each(|_| drop(sessions.link(many.clone())));
        assert!(sessions.open(&waiting).is_some());
    }

    #[test]
    fn a_session_is_its_tokens_and_ends_with_it() {
        let (clock, sessions) = sessions();
        let who = Who::named("anna", Role::Operator, Some(clock.now().plus(LINK_LIVES * 2)));
        let (first, second) = (text(&sessions.link(who.clone()).token), text(&sessions.link(who.clone()).token));
        let session = sessions.find(&text(&sessions.open(&first).unwrap())).unwrap();
        assert_eq!((session.who().name(), session.may(Role::Operator), session.may(Role::Deployer)), ("anna", true, false));
        assert_eq!(session.ends_at, clock.now().plus(LINK_LIVES * 2));
        clock.advance(LINK_LIVES / 2);
        assert!(sessions.lasts(&session));
        who.revoke();
        assert!(!sessions.lasts(&session));
        assert!(sessions.open(&second).is_none());
    }

    #[test]
    fn keeps_no_token() {
        let (_, sessions) = sessions();
        let token = signed_in(&sessions);
        assert!(!format!("{sessions:?}").contains(&token));
        assert!(!format!("{:?}", sessions.find(&token)).contains(&token));
    }
}
