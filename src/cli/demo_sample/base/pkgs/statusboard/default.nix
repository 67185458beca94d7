{ mkPackage, licenses, maintainers, curlew, libpix, libtz }:

mkPackage {
  pname = "statusboard";
  version = "0.8";

  sources = [ "src/probe.c" "src/draw.c" "src/main.c" ];
  buildInputs = [ curlew libpix libtz ];
  uses."src/draw.c".libpix = [ "pix_write" ];
  cost = 60;
  size = 60;

  meta = {
    description = "Shows on a wall what answers and what does not";
    license = licenses.mit;
    maintainers = [ maintainers.tadeo ];
  };
}
