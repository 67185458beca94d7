{ mkPackage, licenses, maintainers }:

mkPackage {
  pname = "libchar";
  version = "74.2";

  sources = [ "src/utf8.c" "src/normal.c" "src/segment.c" "src/width.c" "src/tables.c" ];
  exports = [ "ch_decode" "ch_normalise" "ch_width" "ch_fold" ];
  tests = [ "conformance" "surrogates" ];
  outputs = [ "out" "dev" ];
  cost = 150;
  size = 380;

  meta = {
    description = "Unicode: encodings, normalisation, segmentation";
    license = licenses.mit;
    maintainers = [ maintainers.yun ];
  };
}
