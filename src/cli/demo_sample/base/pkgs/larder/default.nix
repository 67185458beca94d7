{ mkPackage, licenses, maintainers, zpack }:

mkPackage {
  pname = "larder";
  version = "3.46.0";

  sources = [ "src/pager.c" "src/btree.c" "src/journal.c" "src/query.c" "src/vacuum.c" ];
  exports = [ "ldr_open" "ldr_put" "ldr_get" "ldr_query" ];
  buildInputs = [ zpack ];
  uses."src/pager.c".zpack = [ "zp_crc" ];
  tests = [ "crash-in-commit" "two-writers" "vacuum" ];
  outputs = [ "out" "dev" ];
  cost = 200;
  size = 260;

  meta = {
    description = "Embedded database in one file";
    license = licenses.cc0;
    maintainers = [ maintainers.kofi maintainers.marit ];
  };
}
