{ mkPackage, licenses, maintainers }:

mkPackage {
  pname = "words-en";
  version = "2026.1";
  kind = "data";

  sources = [ "en.words" ];
  cost = 10;
  size = 350;

  meta = {
    description = "English word list";
    license = licenses.cc0;
    maintainers = [ maintainers.yun ];
  };
}
