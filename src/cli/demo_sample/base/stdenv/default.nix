# mkPackage: what every package of the set is made with.
{ system }:

{
  pname,
  version,
  # "c", "lantern" or "data"
  kind ? "c",
  sources ? [ ],
  # { "src/net.c" = { libtls = [ "tls_new" ]; }; }: which symbols a source file, or "test:NAME", needs of which library.
  uses ? { },
  # The symbols that the headers declare.
  exports ? [ ],
  buildInputs ? [ ],
  patches ? [ ],
  tests ? [ ],
  outputs ? [ "out" ],
  # Hundredths of a second of CPU time.
  cost ? 40,
  # Kilobytes.
  size ? 24,
  meta,
}:

let
  inherit (builtins) attrNames concatMap;
  usesOf = where: concatMap (library: map (symbol: "${where}:${library}:${symbol}") uses.${where}.${library}) (attrNames uses.${where});
  headersOf = input: "${input.pname}=${input.dev or input}";
in
derivation {
  inherit system pname version kind sources exports buildInputs patches tests outputs cost size;
  name = "${pname}-${version}";
  builder = "/bin/sh";
  args = [ ./build.sh ];
  uses = concatMap usesOf (attrNames uses);
  headers = map headersOf buildInputs;
}
// {
  inherit pname version;
  meta = { name = "${pname}-${version}"; } // meta;
}
