{ mkPackage, licenses, maintainers, librx, libterm, libchar }:

mkPackage {
  pname = "quill";
  version = "5.2";

  sources = [ "src/buffer.c" "src/search.c" "src/syntax.c" "src/main.c" ];
  patches = [ ./librx-2.patch ];
  buildInputs = [ librx libterm libchar ];
  uses = {
    "src/search.c".librx = [ "rx_new" "rx_match" ];
    "src/buffer.c".libchar = [ "ch_normalise" ];
  };
  tests = [ "undo" "search" "huge-lines" ];
  outputs = [ "out" "man" ];
  cost = 110;
  size = 100;

  meta = {
    description = "Text editor that stays out of the way";
    license = licenses.gpl3Plus;
    maintainers = [ maintainers.yun ];
    mainProgram = "quill";
  };
}
