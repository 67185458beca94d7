{ mkPackage, licenses, maintainers, libchar }:

mkPackage {
  pname = "libxml-lite";
  version = "0.9.8";

  sources = [ "src/lex.c" "src/tree.c" ];
  exports = [ "xl_parse" "xl_find" ];
  buildInputs = [ libchar ];
  uses."src/lex.c".libchar = [ "ch_decode" ];
  tests = [ "entities" ];
  outputs = [ "out" "dev" ];
  cost = 40;
  size = 52;

  meta = {
    description = "XML, as little of it as one gets away with";
    license = licenses.isc;
    maintainers = [ maintainers.tadeo ];
  };
}
