//! Line icons on a 24-unit grid, drawn in the colour of the text around them. They never speak alone: words stand beside them, so
//! that they are hidden from screen readers.

use maud::{Markup, PreEscaped, html};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Icon {
    Check,
    Cross,
    CrossSmall,
    Warning,
    Info,
    Clock,
    Running,
    Plus,
    Minus,
    Dash,
    Gate,
    Branch,
    Stop,
    Again,
    Search,
}

impl Icon {
    fn drawing(self) -> &'static str {
        match self {
            Icon::Check => r#"<path d="M4 12.5 9.5 18 20 6.5"/>"#,
            Icon::Cross => r#"<path d="M5 5l14 14M19 5 5 19"/>"#,
            Icon::CrossSmall => r#"<circle cx="12" cy="12" r="9"/><path d="m9 9 6 6m0-6-6 6"/>"#,
            Icon::Warning => r#"<path d="M12 3 2 20.5h20zM12 10v4.5M12 17.5v.1"/>"#,
            Icon::Info => r#"<circle cx="12" cy="12" r="9"/><path d="M12 11v5.5M12 7.5v.1"/>"#,
            Icon::Clock => r#"<circle cx="12" cy="12" r="9"/><path d="M12 7v5l3.5 2"/>"#,
            Icon::Running => r#"<path d="M12 3a9 9 0 1 0 9 9"/>"#,
            Icon::Plus => r#"<path d="M12 4.5v15M4.5 12h15"/>"#,
            Icon::Minus | Icon::Dash => r#"<path d="M5 12h14"/>"#,
            Icon::Gate => r#"<path d="M3 21V9a9 9 0 0 1 18 0v12M3 21h18M12 5v16M8 9.5l8 5M16 9.5l-8 5"/>"#,
            Icon::Branch => {
                r#"<circle cx="6" cy="5" r="2.5"/><circle cx="6" cy="19" r="2.5"/><circle cx="18" cy="8" r="2.5"/><path d="M6 7.5v9M18 10.5c0 4-6 3-11 6"/>"#
            }
            Icon::Search => r#"<circle cx="10.5" cy="10.5" r="6.5"/><path d="m15.5 15.5 5.5 5.5"/>"#,
            Icon::Stop => r#"<rect x="6" y="6" width="12" height="12" rx="1"/>"#,
            Icon::Again => r#"<path d="M20 11a8 8 0 1 0-2 6M20 5v6h-6"/>"#,
        }
    }
}

pub fn icon(icon: Icon) -> Markup {
    let class = if icon == Icon::Running { "icon spin" } else { "icon" };
    html! { svg class=(class) viewBox="0 0 24 24" aria-hidden="true" focusable="false" { (PreEscaped(icon.drawing())) } }
}
