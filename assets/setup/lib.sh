# What the set-up scripts share. To be sourced, not run.

# Ends with one sentence for the person at the keyboard.
stop() {
  echo "snowgate: $*" >&2
  exit 1
}

say() { echo "snowgate: $*" >&2; }

have() { command -v "$1" >/dev/null 2>&1; }

# Runs a command as root: directly, or through sudo where that asks nothing or somebody can answer. Status 100: no way.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif have sudo && { sudo -n true 2>/dev/null || { [ -t 0 ] && [ -t 2 ]; }; }; then
    sudo "$@"
  else
    return 100
  fi
}

# Where our own Nix lives: outside the checkout, so that it survives `cargo clean`; and as root outside /root, which the
# build users and the evaluator's unprivileged user cannot enter.
nix_prefix() {
  if [ -n "${SNOWGATE_NIX_PREFIX:-}" ]; then
    echo "$SNOWGATE_NIX_PREFIX"
  elif [ "$(id -u)" = 0 ]; then
    echo /opt/snowgate/nix
  else
    echo "${XDG_CACHE_HOME:-$HOME/.cache}/snowgate/nix"
  fi
}

# Installs Debian packages; asks the mirrors for their lists only when what we know is missing or too old to serve.
install_packages() {
  have apt-get || stop "please install these with your package manager, then try again: $*."
  say "installing Debian packages: $*"
  local log status=0
  log=$(mktemp)
  apt_install "$@" >"$log" 2>&1 || { as_root apt-get -q update >>"$log" 2>&1 && apt_install "$@" >>"$log" 2>&1; } || status=$?
  if [ "$status" != 0 ]; then
    tail -5 "$log" >&2
    rm -f "$log"
    [ "$status" != 100 ] || stop "only root can install packages: run \`apt-get install $*\` as root, then try again."
    stop "these packages could not be installed: $*."
  fi
  rm -f "$log"
}

apt_install() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=300 install "$@"
}

# Where a package from npm goes: outside the checkout.
npm_cache() {
  if [ "$(id -u)" = 0 ]; then echo "/opt/snowgate/$1"; else echo "${XDG_CACHE_HOME:-$HOME/.cache}/snowgate/$1"; fi
}

# npm_package DIRECTORY NAME PACKAGE VERSION SHA256 FILES…: unpacks these files of a package to DIRECTORY/NAME, once.
npm_package() {
  local directory=$1 name=$2 package=$3 version=$4 sha256=$5 work
  shift 5
  [ "$(cat "$directory/$name/version" 2>/dev/null)" != "$version" ] || return 0
  have npm || install_packages npm
  mkdir -p "$directory"
  work=$(mktemp -d "$directory/$name.XXXXXX")
  if ! (cd "$work" && npm pack --silent "$package@$version" >/dev/null 2>log); then
    tail -3 "$work/log" >&2
    rm -rf "$work"
    stop "$package can't be had from npm, and the tests need it: is there a network?"
  fi
  echo "$sha256  $(echo "$work"/*.tgz)" | sha256sum --check --quiet
  tar xzf "$work"/*.tgz -C "$work" "$@"
  echo "$version" >"$work/package/version"
  rm -rf "${directory:?}/$name"
  mv -T "$work/package" "$directory/$name" 2>/dev/null || [ "$(cat "$directory/$name/version")" = "$version" ]
  rm -rf "$work"
}
