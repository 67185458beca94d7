# Every package is built here: unpack, patch, configure, compile, check, install. Nothing but the shell's own commands is
# used, since a build sees nothing else.
set -eu

# CPU time of this shell so far, in hundredths of a second. `times` must not run in a substitution: that is another process.
cpu_time() {
  times > times
  read -r user system < times
  hundredths "$user"; cpu=$result
  hundredths "$system"; cpu=$((cpu + result))
}

# "1m2.345s" -> 6234
hundredths() {
  minutes=${1%%m*}
  seconds=${1#*m}
  fraction=${seconds#*.}00
  fraction=${fraction%"${fraction#??}"}
  result=$((minutes * 6000 + ${seconds%%.*} * 100 + ${fraction#0}))
}

# Think for so many hundredths of a second.
work() {
  cpu_time
  until=$((cpu + $1))
  rounds=0
  while [ "$cpu" -lt "$until" ] && [ "$rounds" -lt 2000 ]; do
    i=0
    while [ "$i" -lt 2000 ]; do i=$((i + 1)); done
    rounds=$((rounds + 1))
    cpu_time
  done
}

# Whether library $1 exports symbol $2, as its headers say.
exported() {
  for header in $headers; do
    [ "${header%%=*}" = "$1" ] || continue
    while read -r word name; do
      if [ "$word $name" = "export $2" ]; then return 0; fi
    done < "${header#*=}"
  done
  return 1
}

# The first symbol that $1 uses and nobody exports, in $missing; its library in $library.
find_missing() {
  missing=
  for use in $uses; do
    case $use in "$1":*) ;; *) continue ;; esac
    use=${use#"$1":}
    library=${use%%:*}
    if ! exported "$library" "${use#*:}"; then missing=${use#*:}; return; fi
  done
}

compile() {
  case $kind in
    c) echo "  CC       ${1%.c}.o" ;;
    lantern) echo "  lanternc ${1%.ln}.lno" ;;
    *) echo "  GEN      $1" ;;
  esac
  work "$each"
  find_missing "$1"
  [ -n "$missing" ] || return 0
  line=$((${#1} * 7 + ${#missing} * 3))
  marks=^
  while [ ${#marks} -lt ${#missing} ]; do marks=$marks~; done
  echo "$1: In function 'setup_$library':"
  echo "$1:$line:9: error: implicit declaration of function '$missing' [-Wimplicit-function-declaration]"
  echo "  $line |         $missing(ctx, &params, 0);"
  echo "      |         $marks"
  echo "make: *** [Makefile:$((${#1} + 40)): ${1%.c}.o] Error 1"
  exit 1
}

check() {
  work 4
  find_missing "test:$1"
  if [ -z "$missing" ]; then echo "ok $number - $1"; return; fi
  echo "not ok $number - $1"
  echo "#   dlsym: undefined symbol: $missing (wanted from $library)"
  failed=$((failed + 1))
}

echo "unpacking source archive $pname-$version.tar"
for patch in $patches; do
  echo "applying patch ${patch##*/}"
  while read -r word file rest; do
    if [ "$word" = "+++" ]; then echo "patching file ${file#b/}"; fi
  done < "$patch"
done

echo "configuring $pname $version"
for header in $headers; do
  read -r word name found < "${header#*=}"
  echo "checking for $name... yes ($found)"
  work 2
done

echo "building"
count=0
for source in $sources; do count=$((count + 1)); done
each=$((cost / (count > 0 ? count : 1)))
for source in $sources; do compile "$source"; done
if [ "$kind" = c ]; then echo "  LINK     $pname"; fi

if [ -n "$tests" ]; then
  echo "running tests"
  number=0
  failed=0
  for test in $tests; do number=$((number + 1)); check "$test"; done
  echo "1..$number"
  if [ "$failed" -gt 0 ]; then
    echo "# $failed of $number tests failed"
    echo "make: *** [Makefile:17: check] Error 1"
    exit 1
  fi
fi

echo "installing"
filler=.
while [ ${#filler} -lt 1024 ]; do filler=$filler$filler; done
for output in $outputs; do
  eval "path=\$$output"
  echo "  $path"
  {
    echo "package $pname $version"
    for symbol in $exports; do echo "export $symbol"; done
    if [ "$output" = out ]; then
      for input in $buildInputs; do echo "needs $input"; done
      i=0
      while [ "$i" -lt "$size" ]; do echo "$filler"; i=$((i + 1)); done
    fi
  } > "$path"
done
