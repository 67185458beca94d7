{ mkPackage, licenses, maintainers, libmp, zpack }:

mkPackage {
  pname = "libtls";
  version = "3.4.0";

  sources = [ "src/record.c" "src/handshake.c" "src/x509.c" "src/cipher.c" "src/session.c" ];
  exports = [ "tls_new" "tls_connect" "tls_accept" "tls_read" "tls_write" "tls_verify" "tls_rekey" ];
  buildInputs = [ libmp zpack ];
  uses = {
    "src/handshake.c".libmp = [ "mp_init" "mp_modexp_ct" ];
    "src/record.c".zpack = [ "zp_write" ];
  };
  tests = [ "handshake" "resume" "expired-certificate" "wrong-host" "rekey" ];
  outputs = [ "out" "dev" "doc" ];
  cost = 220;
  size = 410;

  meta = {
    description = "Transport layer security, versions 1.2 and 1.3";
    homepage = "https://libtls.example.org";
    license = licenses.asl20;
    maintainers = [ maintainers.marit maintainers.kofi ];
  };
}
