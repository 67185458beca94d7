{ mkPackage, licenses, maintainers, libchar }:

mkPackage {
  pname = "librx";
  version = "2.0.1";

  sources = [ "src/parse.c" "src/compile.c" "src/match.c" ];
  exports = [ "rx_new" "rx_match" "rx_free" "rx_captures" ];
  buildInputs = [ libchar ];
  uses."src/parse.c".libchar = [ "ch_decode" "ch_fold" ];
  tests = [ "backtracking-bomb" "captures" ];
  outputs = [ "out" "dev" ];
  cost = 70;
  size = 64;

  meta = {
    description = "Regular expressions in linear time";
    license = licenses.bsd2;
    maintainers = [ maintainers.yun ];
  };
}
