//! A page of its own around a block of HTML that needs nothing else.

use std::ffi::OsStr;
use std::path::Path;

use crate::display::escape;
use crate::files::write_atomically;
use crate::{Error, Result};

/// Writes the page, to be opened in any browser. `what` names the figure in an error.
pub(crate) fn save_page(path: &Path, what: &str, title: &str, html: &str) -> Result<()> {
    let is_html = |extension: &OsStr| extension.eq_ignore_ascii_case("html");
    if !path.extension().is_some_and(is_html) {
        return Err(Error::Value(format!(
            "{}: {what} is saved as a page; name the file with the extension .html",
            path.display()
        )));
    }
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n\
         <body style=\"font-family: sans-serif; margin: 2em\">\n{html}\n",
        escape(title)
    );
    write_atomically(path, |file| file.write_all(page.as_bytes()))
}
