{ mkPackage, licenses, maintainers }:

mkPackage {
  pname = "proverbs";
  version = "1.2";

  sources = [ "src/main.c" ];
  cost = 10;
  size = 64;

  meta = {
    description = "Prints a proverb";
    license = licenses.cc0;
    maintainers = [ maintainers.tadeo ];
  };
}
