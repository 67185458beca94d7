{ mkPackage, licenses, maintainers }:

mkPackage {
  pname = "zpack";
  version = "1.3.1";

  sources = [ "src/deflate.c" "src/inflate.c" "src/crc.c" "src/window.c" ];
  exports = [ "zp_open" "zp_write" "zp_read" "zp_close" "zp_crc" ];
  tests = [ "roundtrip" "empty" "truncated" ];
  outputs = [ "out" "dev" ];
  cost = 90;
  size = 96;

  meta = {
    description = "Lossless compression of streams";
    license = licenses.bsd2;
    maintainers = [ maintainers.marit ];
  };
}
