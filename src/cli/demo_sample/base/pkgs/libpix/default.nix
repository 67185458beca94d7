{ mkPackage, licenses, maintainers, zpack }:

mkPackage {
  pname = "libpix";
  version = "1.6.43";

  sources = [ "src/png.c" "src/scale.c" "src/colour.c" ];
  exports = [ "pix_read" "pix_write" "pix_scale" ];
  buildInputs = [ zpack ];
  uses."src/png.c".zpack = [ "zp_read" "zp_crc" ];
  tests = [ "suite" "truncated" ];
  outputs = [ "out" "dev" ];
  cost = 90;
  size = 110;

  meta = {
    description = "Reads and writes raster images";
    license = licenses.bsd2;
    maintainers = [ maintainers.yun ];
  };
}
