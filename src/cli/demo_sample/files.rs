//! The files of the sample, carried in the binary.

/// Path in the sample's tree, and content.
pub(super) type File = (&'static str, &'static str);

/// The files `$path` below `demo_sample/$folder/`.
macro_rules! files {
    ($folder:literal: $($path:literal)*) => {
        &[$(($path, include_str!(concat!($folder, "/", $path)))),*]
    };
}

pub(super) const BASE: &[File] = files! { "base":
    "README.md"
    "aliases.nix"
    "default.nix"
    "docs/packages.md"
    "lantern/default.nix"
    "licenses.nix"
    "maintainers.nix"
    "pkgs/2048/default.nix"
    "pkgs/abacus/default.nix"
    "pkgs/almanac/default.nix"
    "pkgs/chatter/default.nix"
    "pkgs/curlew/default.nix"
    "pkgs/dnsq/default.nix"
    "pkgs/fingerd/default.nix"
    "pkgs/gamut/default.nix"
    "pkgs/gazette/default.nix"
    "pkgs/gitlet/default.nix"
    "pkgs/gopherd/default.nix"
    "pkgs/grepper/default.nix"
    "pkgs/hexpeek/default.nix"
    "pkgs/jotq/default.nix"
    "pkgs/lacuna/default.nix"
    "pkgs/lantern/default.nix"
    "pkgs/larder/default.nix"
    "pkgs/libchar/default.nix"
    "pkgs/libevt/default.nix"
    "pkgs/libjot/default.nix"
    "pkgs/libmp/default.nix"
    "pkgs/libpix/default.nix"
    "pkgs/librx/default.nix"
    "pkgs/libterm/default.nix"
    "pkgs/libtls/default.nix"
    "pkgs/libtz/default.nix"
    "pkgs/libxml-lite/default.nix"
    "pkgs/mailcart/default.nix"
    "pkgs/mandoline/default.nix"
    "pkgs/moth/default.nix"
    "pkgs/pkgfetch/default.nix"
    "pkgs/porter/default.nix"
    "pkgs/proverbs/default.nix"
    "pkgs/quill-themes/default.nix"
    "pkgs/quill/default.nix"
    "pkgs/reportgen/default.nix"
    "pkgs/sokoball/default.nix"
    "pkgs/spelt/default.nix"
    "pkgs/sprig/default.nix"
    "pkgs/squirrel/default.nix"
    "pkgs/statusboard/default.nix"
    "pkgs/tables/default.nix"
    "pkgs/treeline/default.nix"
    "pkgs/tunnelworm/default.nix"
    "pkgs/words-en/default.nix"
    "pkgs/words-nb/default.nix"
    "pkgs/zpack/default.nix"
    "snowgate.toml"
    "stdenv/build.sh"
    "stdenv/default.nix"
};

pub(super) const LIBTLS: &[File] = files! { "branches/libtls":
    "pkgs/curlew/default.nix"
    "pkgs/libtls/default.nix"
};

pub(super) const QUILL: &[File] = files! { "branches/quill":
    "pkgs/quill/default.nix"
    "pkgs/quill/librx-2.patch"
};

pub(super) const TIDY: &[File] = files! { "branches/tidy":
    "aliases.nix"
    "pkgs/reportgen/default.nix"
    "pkgs/tablefmt/default.nix"
};

pub(super) const DOCS: &[File] = files! { "branches/docs":
    "README.md"
    "docs/contributing.md"
};
