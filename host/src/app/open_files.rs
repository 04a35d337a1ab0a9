//! As many open files as the system lets the process have: each request under way to a target is one, and a target that hangs must
//! not use up those that intake needs.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit, which is 1024 on many systems, to the hard one.
pub fn raise_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    if let Err(why) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::debug!(%why, ?current, ?maximum, "the limit on open files stays as it is");
    }
}
