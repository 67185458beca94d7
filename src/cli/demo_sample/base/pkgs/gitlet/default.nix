{ mkPackage, licenses, maintainers, curlew, zpack }:

mkPackage {
  pname = "gitlet";
  version = "2.47";

  sources = [ "src/pack.c" "src/refs.c" "src/fetch.c" "src/main.c" ];
  buildInputs = [ curlew zpack ];
  uses = {
    "src/fetch.c".curlew = [ "cu_get" ];
    "src/pack.c".zpack = [ "zp_read" ];
  };
  tests = [ "thin-pack" "shallow" ];
  outputs = [ "out" "man" ];
  cost = 120;
  size = 130;

  meta = {
    description = "Follows remote repositories without cloning them";
    license = licenses.gpl3Plus;
    maintainers = [ maintainers.kofi ];
  };
}
