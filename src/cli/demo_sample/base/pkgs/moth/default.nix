{ mkPackage, licenses, maintainers, librx, libterm }:

mkPackage {
  pname = "moth";
  version = "2.8";

  sources = [ "src/page.c" "src/find.c" "src/main.c" ];
  buildInputs = [ librx libterm ];
  uses."src/find.c".librx = [ "rx_match" ];
  tests = [ "binary-input" ];
  cost = 40;
  size = 32;

  meta = {
    description = "Pager that finds things";
    license = licenses.isc;
    maintainers = [ maintainers.yun ];
  };
}
