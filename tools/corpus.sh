#!/usr/bin/env bash
# Puts text in twelve languages under .deps/text/: GNOME's user guide (Debian's gnome-user-docs, CC BY-SA 3.0), parallel
# translations. A file a language, a line a paragraph, form feeds between pages; what is left in English in other
# languages is left out.
#   tools/corpus.sh        fetch it, unless it is there
set -euo pipefail
cd "$(dirname "$0")/.."
languages="C cs de es fr hu id lv nl pl pt_BR sv"
[ -d .deps/text ] && { echo "corpus: .deps/text is there"; exit 0; }
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null && command -v perl >/dev/null || {
  echo "corpus: there is no apt-get, dpkg-deb or perl here; put a file of text a language into a folder, and its path into data.folder" >&2
  exit 1
}
mkdir -p .deps
staging=$(mktemp -d .deps/corpus.XXXXXX)
trap 'rm -rf "$staging"' EXIT
root="$PWD/$staging"
fetch() { (cd "$staging" && apt-get "$@" download gnome-user-docs >apt.log 2>&1); }
if ! fetch; then # no package lists on this machine: take them into a private folder
  mkdir -p "$root/lists/partial" "$root/cache/archives/partial"
  private=(-o "Dir::State::Lists=$root/lists" -o "Dir::Cache=$root/cache" -o APT::Sandbox::User=root)
  apt-get "${private[@]}" update >"$staging/update.log" 2>&1 && fetch "${private[@]}" || {
    tail -n 3 "$staging"/*.log >&2
    echo "corpus: gnome-user-docs could not be downloaded" >&2
    exit 1
  }
fi
for language in $languages; do
  dpkg-deb --fsys-tarfile "$staging"/*.deb | tar -x -C "$staging" --wildcards "./usr/share/help/$language/gnome-help/*.page"
done
mkdir "$staging/text"
perl -CSD -e '
  my ($root, $to, @languages) = @ARGV;
  my %english;
  for my $language (@languages) {
    open my $out, ">", "$to/" . ($language eq "C" ? "en" : $language) . ".txt" or die $!;
    for my $file (sort glob "$root/usr/share/help/$language/gnome-help/*.page") {
      open my $in, "<", $file or die $!;
      local $/;
      my $text = <$in>;
      $text =~ s/<(info|credit|license|desc)\b.*?<\/\1>|<!--.*?-->/ /gs;
      $text =~ s/<\/?(p|title|item|td|tr|cite)\b[^>]*>/\n\n/g;
      $text =~ s/<[^>]+>//g;
      my %named = (lt => "<", gt => ">", amp => "&", quot => "\"", apos => "\x27", nbsp => " ");
      $text =~ s/&(\w+);/$named{$1} \/\/ " "/ge;
      for my $paragraph (split /\n\s*\n/, $text) {
        $paragraph =~ s/\s+/ /g;
        $paragraph =~ s/^ | $//g;
        next if length $paragraph < 20 or $language ne "C" && $english{$paragraph};
        $english{$paragraph} = 1 if $language eq "C";
        print $out "$paragraph\n";
      }
      print $out "\f";
    }
  }' "$staging" "$staging/text" $languages
mv "$staging/text" .deps/text
echo "corpus: $(ls .deps/text | wc -l) languages, $(du -sh .deps/text | cut -f1) in .deps/text"
