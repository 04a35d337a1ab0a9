//! What plugins in Python need around them: nothing but the SDK, which tests and editors are told the place of.

use super::carried::filled;
use crate::problem::{Code, Problem};

/// Words of the language, modules of its standard library, and the SDK's own: a plugin's module is called like the plugin, and would be
/// imported in their place. Of Python 3.11 to 3.14 (`sys.stdlib_module_names`, `keyword.kwlist`).
const RESERVED: &str = "abc aifc and annotationlib antigravity argparse array as assert ast async asynchat asyncio asyncore atexit audioop \
    await base64 bdb binascii bisect break builtins bz2 calendar case cgi cgitb chunk class cmath cmd code codecs codeop \
    collections colorsys compileall compression concurrent configparser contextlib contextvars continue copy copyreg crypt \
    csv ctypes curses dataclasses datetime dbm decimal def del difflib dis distutils doctest elif else email encodings \
    ensurepip enum errno except faulthandler fcntl filecmp fileinput finally fnmatch for fractions from ftplib functools \
    gc genericpath getopt getpass gettext glob global graphlib grp gzip hashlib heapq hmac html http idlelib if imaplib \
    imghdr imp import importlib in inspect io ipaddress is itertools json keyword lambda lib2to3 linecache locale \
    lockgate_build lockgate_main lockgate_sdk logging lzma mailbox mailcap marshal match math mimetypes mmap modulefinder \
    msilib msvcrt multiprocessing netrc nis nntplib nonlocal not nt ntpath nturl2path numbers opcode operator optparse or \
    os ossaudiodev pass pathlib pdb pickle pickletools pipes pkgutil platform plistlib poplib posix posixpath pprint \
    profile pstats pty pwd py_compile pyclbr pydoc pydoc_data pyexpat queue quopri raise random re readline reprlib \
    resource return rlcompleter runpy sched secrets select selectors shelve shlex shutil signal site smtpd smtplib sndhdr \
    socket socketserver spwd sqlite3 sre_compile sre_constants sre_parse ssl stat statistics string stringprep struct \
    subprocess sunau symtable sys sysconfig syslog tabnanny tarfile telnetlib tempfile termios tests textwrap this \
    threading time timeit tkinter token tokenize tomllib trace traceback tracemalloc try tty turtle turtledemo types \
    typing unicodedata unittest urllib uu uuid venv warnings wave weakref webbrowser while winreg winsound wit_world with \
    wsgiref xdrlib xml xmlrpc yield zipapp zipfile zipimport zlib zoneinfo";

/// Whether a plugin can be called so.
///
/// # Errors
/// `LG-7006` with a name that can be had instead.
pub fn check_name(plugin: &str) -> Result<(), Problem> {
    let module = module(plugin);
    if !RESERVED.split_whitespace().any(|reserved| reserved == module) {
        return Ok(());
    }
    let message = format!("a plugin in Python cannot be called `{plugin}`: its module would stand in the place of Python's own `{module}`");
    Err(Problem::new(Code::WrongUsage, message).fix(format!("call it something else, such as `{plugin}-plugin`")))
}

/// The plugin's module.
pub fn module(plugin: &str) -> String {
    plugin.replace('-', "_")
}

/// The files of `plugin`, whose folder is `depth` folders below the workspace, from the templates of `kind`.
pub fn files(plugin: &str, description: &str, kind: &str, depth: usize) -> Vec<(String, Vec<u8>)> {
    let module = module(plugin);
    let sdk = format!("{}sdk/python", "../".repeat(depth));
    let description = toml::Value::from(description).to_string();
    let words = [("name", plugin), ("module", module.as_str()), ("sdk", &sdk), ("description", &description)];
    let file = |name: String, path: &str| (name, filled(&format!("python/{path}"), &words).into_bytes());
    vec![
        file("pyproject.toml".into(), "pyproject.toml"),
        file(format!("{module}.py"), &format!("{kind}/plugin.py")),
        file("tests/__init__.py".into(), "tests_init.py"),
        file(format!("tests/test_{module}.py"), &format!("{kind}/test.py")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_names_that_python_has_taken() {
        for name in ["json", "http", "import", "async", "lockgate-sdk", "unittest", "tests"] {
            let problem = check_name(name).unwrap_err();
            assert!(problem.fix.unwrap().contains(&format!("`{name}-plugin`")));
        }
        assert!(check_name("orders").is_ok() && check_name("http-post").is_ok());
    }
}
