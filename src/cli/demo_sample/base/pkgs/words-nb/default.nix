{ mkPackage, licenses, maintainers }:

mkPackage {
  pname = "words-nb";
  version = "2026.1";
  kind = "data";

  sources = [ "nb.words" ];
  cost = 10;
  size = 310;

  meta = {
    description = "Norwegian word list (Bokmål)";
    license = licenses.cc0;
    maintainers = [ maintainers.marit ];
  };
}
