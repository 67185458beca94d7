{ mkPackage, licenses, maintainers, libchar }:

mkPackage {
  pname = "libjot";
  version = "2.14";

  sources = [ "src/lex.c" "src/tree.c" "src/print.c" ];
  exports = [ "jot_parse" "jot_print" "jot_at" ];
  buildInputs = [ libchar ];
  uses."src/lex.c".libchar = [ "ch_decode" ];
  tests = [ "deep" "numbers" "duplicate-keys" ];
  outputs = [ "out" "dev" ];
  cost = 45;
  size = 48;

  meta = {
    description = "JSON: a parser, a printer, a pointer";
    license = licenses.mit;
    maintainers = [ maintainers.ines ];
  };
}
