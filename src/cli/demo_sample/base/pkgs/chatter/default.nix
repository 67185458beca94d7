{ mkPackage, licenses, maintainers, libtls, libterm, libjot }:

mkPackage {
  pname = "chatter";
  version = "4.0.2";

  sources = [ "src/net.c" "src/window.c" "src/main.c" ];
  buildInputs = [ libtls libterm libjot ];
  uses."src/net.c".libtls = [ "tls_connect" ];
  uses."src/net.c".libjot = [ "jot_parse" ];
  tests = [ "reconnect" ];
  cost = 70;
  size = 90;

  meta = {
    description = "Chat client for several networks";
    license = licenses.gpl3Plus;
    maintainers = [ maintainers.ines ];
  };
}
