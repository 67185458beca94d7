{ mkPackage, licenses, maintainers, librx, libchar }:

mkPackage {
  pname = "grepper";
  version = "3.11";

  sources = [ "src/scan.c" "src/main.c" ];
  buildInputs = [ librx libchar ];
  uses."src/scan.c".librx = [ "rx_new" "rx_match" ];
  tests = [ "binary" "context" ];
  cost = 40;
  size = 30;

  meta = {
    description = "Searches files for patterns";
    license = licenses.gpl3Plus;
    maintainers = [ maintainers.yun ];
  };
}
