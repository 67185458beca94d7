{ mkPackage, licenses, maintainers, libpix, libterm }:

mkPackage {
  pname = "gamut";
  version = "7.1.1";

  sources = [ "src/convert.c" "src/retouch.c" "src/main.c" ];
  buildInputs = [ libpix libterm ];
  uses."src/convert.c".libpix = [ "pix_read" "pix_write" "pix_scale" ];
  tests = [ "colour-profiles" ];
  cost = 90;
  size = 95;

  meta = {
    description = "Converts and retouches images";
    license = licenses.asl20;
    maintainers = [ maintainers.yun ];
  };
}
