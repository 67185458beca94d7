{ mkPackage, licenses, maintainers, libchar }:

mkPackage {
  pname = "libterm";
  version = "6.5";

  sources = [ "src/caps.c" "src/screen.c" "src/keys.c" ];
  exports = [ "term_open" "term_draw" "term_key" "term_close" ];
  buildInputs = [ libchar ];
  uses."src/screen.c".libchar = [ "ch_width" ];
  tests = [ "resize" ];
  outputs = [ "out" "dev" ];
  cost = 60;
  size = 88;

  meta = {
    description = "Terminal capabilities and drawing";
    license = licenses.mit;
    maintainers = [ maintainers.tadeo ];
  };
}
