//! How values show themselves in a cell: the one place that knows evcxr and the notebooks' kernel.
//!
//! A value that implements [`Show`] has a [`Content`]: a line of text, and richer forms of the same. evcxr calls
//! `evcxr_display` on the last expression of a cell and reads marked blocks from stdout, one for each MIME type. The
//! notebooks' kernel reads messages instead, a line of JSON each, and so can show a value before the cell has ended,
//! replace it ([`Live`](crate::live::Live)), and tell clients how large a picture is meant to be.

use std::env;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// A value that shows itself in a cell.
///
/// ```
/// use digit_gan::display::{Content, Show};
/// struct Temperature(f64);
/// impl Show for Temperature {
///     fn content(&self) -> Content {
///         let Temperature(degrees) = self;
///         Content::text(format!("{degrees} degrees")).with_html(format!("<b>{degrees} °C</b>"))
///     }
/// }
/// digit_gan::display::show(&Temperature(21.5));
/// ```
pub trait Show {
    /// The value in all forms in which it can be shown.
    fn content(&self) -> Content;
}

impl<T: Show + ?Sized> Show for &T {
    fn content(&self) -> Content {
        (**self).content()
    }
}

/// A value in several forms, of which a client shows the richest that it knows.
#[derive(Clone, Debug)]
pub struct Content {
    text: String,
    html: Option<String>,
    png: Option<Png>,
}

/// A still picture.
#[derive(Clone, Debug)]
struct Png {
    base64: String,
    /// In CSS pixels.
    size: [u32; 2],
}

impl Content {
    /// Plain text: what a terminal shows, and what a picture says to those who cannot see it.
    pub fn text(text: impl Into<String>) -> Self {
        Content {
            text: text.into(),
            html: None,
            png: None,
        }
    }

    /// The same as HTML. Clients prefer it to a picture.
    pub fn with_html(self, html: impl Into<String>) -> Self {
        let html = Some(html.into());
        Content { html, ..self }
    }

    /// The same as the bytes of a PNG file, meant to be shown at `size`, width and height in CSS pixels.
    pub fn with_png(self, png: &[u8], size: [u32; 2]) -> Self {
        let base64 = STANDARD.encode(png);
        let png = Some(Png { base64, size });
        Content { png, ..self }
    }

    /// The plain text.
    pub fn as_text(&self) -> &str {
        &self.text
    }

    /// The HTML, if there is any.
    pub fn as_html(&self) -> Option<&str> {
        self.html.as_deref()
    }

    /// What a message carries: contents by MIME type, and metadata by MIME type.
    fn bundle(&self) -> [Value; 2] {
        let (mut data, mut metadata) = (Map::new(), Map::new());
        data.insert("text/plain".into(), json!(self.text));
        if let Some(html) = &self.html {
            data.insert("text/html".into(), json!(html));
        }
        if let Some(Png { base64, size }) = &self.png {
            let [width, height] = size;
            data.insert("image/png".into(), json!(base64));
            let about = json!({"width": width, "height": height, "alt": self.text});
            metadata.insert("image/png".into(), about);
        }
        [data.into(), metadata.into()]
    }

    /// What stock evcxr reads. It passes no metadata on, so a picture is HTML that knows its size.
    pub(crate) fn blocks(&self) -> String {
        let picture = |png: &Png| image("png", &png.base64, &self.text, png.size[0], "auto");
        let html = self.html.clone().or_else(|| self.png.as_ref().map(picture));
        let html = html.map(|html| ("text/html", html));
        let forms = html.into_iter().chain([("text/plain", self.text.clone())]);
        forms
            .map(|(mime, form)| format!("EVCXR_BEGIN_CONTENT {mime}\n{form}\nEVCXR_END_CONTENT\n"))
            .collect()
    }
}

/// Shows a value as the result of the cell that is running. Figures, tables and the like do this as the last expression
/// of a cell; for a value of your own that implements [`Show`], call it in the cell's last line.
pub fn show(value: &(impl Show + ?Sized)) {
    match reader() {
        Reader::Kernel(token) => send(token, "result", None, &value.content()),
        Reader::Evcxr | Reader::Terminal => write(&value.content().blocks()),
    }
}

/// Who reads stdout.
pub(crate) enum Reader {
    /// The notebooks' kernel, which knows messages by this token.
    Kernel(String),
    /// evcxr without it.
    Evcxr,
    Terminal,
}

/// Does not change while a process lives.
pub(crate) fn reader() -> &'static Reader {
    static READER: OnceLock<Reader> = OnceLock::new();
    READER.get_or_init(
        || match (env::var("DIGIT_GAN_LIVE"), env::var("EVCXR_IS_RUNTIME")) {
            (Ok(token), _) => Reader::Kernel(token),
            (_, Ok(_)) => Reader::Evcxr,
            _ => Reader::Terminal,
        },
    )
}

/// Sends a value to the notebooks' kernel; `kind` is display, update or result.
pub(crate) fn send(token: &str, kind: &str, id: Option<&str>, content: &Content) {
    let [data, metadata] = content.bundle();
    let mut message = json!({"type": kind, "data": data, "metadata": metadata});
    if let Some(id) = id {
        message["id"] = id.into();
    }
    write(&line(token, &message));
}

/// Tells the notebooks' kernel that the cell looks at its flag; see [`interrupt`](crate::interrupt).
pub(crate) fn announce_listening() {
    if let Reader::Kernel(token) = reader() {
        write(&line(token, &json!({"type": "listening"})));
    }
}

fn line(token: &str, message: &Value) -> String {
    format!("\x1b]digit-gan;{token};{message}\n")
}

/// Writes to stdout in one piece, so that no other thread writes in between. A reader that has gone is no reason to
/// end a training.
pub(crate) fn write(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
}

/// Lets evcxr show values that implement [`Show`].
macro_rules! evcxr_display {
    ($($kind:ty),+) => {$(
        impl $kind {
            /// Shows the value; evcxr calls this for the last expression of a cell.
            pub fn evcxr_display(&self) {
                $crate::display::show(self);
            }
        }
    )+};
}
pub(crate) use evcxr_display;

/// An `<img>` element that carries the whole picture: `format` is the end of its MIME type, `width` is in CSS pixels,
/// `rendering` is how it is enlarged.
pub(crate) fn image(format: &str, base64: &str, alt: &str, width: u32, rendering: &str) -> String {
    format!(
        "<img alt=\"{}\" width=\"{width}\" style=\"max-width: 100%; height: auto; image-rendering: {rendering}\" \
         src=\"data:image/{format};base64,{base64}\">",
        escape(alt)
    )
}

/// A table; the columns of `numbers` stand to the right. The text is escaped.
pub(crate) fn html_table(
    caption: &str,
    header: &[impl AsRef<str>],
    rows: &[impl AsRef<[String]>],
    numbers: Range<usize>,
    footer: &str,
) -> String {
    let cell = |tag: &str, column: usize, text: &str| {
        let side = if numbers.contains(&column) {
            "right"
        } else {
            "left"
        };
        let text = escape(text);
        format!("<{tag} style=\"text-align: {side}\">{text}</{tag}>")
    };
    let (columns, header) = (header.len(), header.iter().enumerate());
    let header: String = header
        .map(|(i, text)| cell("th", i, text.as_ref()))
        .collect();
    let body = rows.iter().map(|cells| {
        let cells = cells.as_ref().iter().enumerate();
        let cells: String = cells.map(|(i, text)| cell("td", i, text)).collect();
        format!("<tr>{cells}</tr>")
    });
    format!(
        "<table><caption style=\"text-align: left\"><b>{}</b></caption><thead><tr>{header}</tr></thead>\
         <tbody>{}</tbody><tfoot><tr><td colspan=\"{columns}\" style=\"text-align: left\">{}</td></tr></tfoot></table>",
        escape(caption),
        body.collect::<String>(),
        escape(footer),
    )
}

/// Text as it stands between tags and in attributes.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
