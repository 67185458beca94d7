{ mkPackage, licenses, maintainers, librx, libchar }:

mkPackage {
  pname = "lacuna";
  version = "1.3";

  sources = [ "src/diff.c" "src/patch.c" "src/main.c" ];
  buildInputs = [ librx libchar ];
  uses."src/diff.c".librx = [ "rx_match" ];
  tests = [ "no-newline" "rename" ];
  cost = 45;
  size = 36;

  meta = {
    description = "Compares files and folders";
    license = licenses.bsd2;
    maintainers = [ maintainers.ines ];
  };
}
