{ mkPackage, licenses, maintainers, curlew, libjot, libmp }:

mkPackage {
  pname = "pkgfetch";
  version = "1.2";

  sources = [ "src/index.c" "src/verify.c" "src/main.c" ];
  buildInputs = [ curlew libjot libmp ];
  uses = {
    "src/verify.c".libmp = [ "mp_modexp" ];
    "src/index.c".libjot = [ "jot_at" ];
  };
  tests = [ "bad-signature" ];
  cost = 55;
  size = 35;

  meta = {
    description = "Mirrors release archives and checks their signatures";
    license = licenses.mit;
    maintainers = [ maintainers.marit ];
  };
}
