# Perl: hashes, regular expressions, sprintf, pack, sorting, big numbers, closures.
use strict;
use warnings;
use Math::BigInt;
use Digest::SHA qw(sha256_hex);
use List::Util qw(sum reduce);
use POSIX qw(floor fmod strtod);

my $scale = $ENV{SCALE};
my $state = 12345;
my $next = sub { $state = ($state * 1103515245 + 12345) % 2147483648 };

my %count;
$count{ $next->() % 997 }++ for 1 .. 20000 * $scale;
print "buckets ", scalar(keys %count), " ",
    sha256_hex(join ',', map {"$_=$count{$_}"} sort { $a <=> $b } keys %count), "\n";

my $text = join ' ', map { sprintf '%x', $next->() } 1 .. 5000 * $scale;
my $hits = () = $text =~ /\b([0-9a-f])[0-9a-f]*\1\b/g;
(my $swapped = $text) =~ s/([a-f])(\d)/$2$1/g;
print "regex $hits ", sha256_hex($swapped), "\n";
print "sort ", sha256_hex(join ' ', sort { length $a <=> length $b or $a cmp $b } split / /, $text), "\n";
printf "%s %.17g %.3e %08.3f %x\n", 1e21, 0.1, 6.02214076e23, -3.14159, 0xdeadbeef;
printf "%.15g %.15g %.15g\n", sqrt(2), atan2(1, 1) * 4, exp(1);
print "float ", unpack('H*', pack 'd>', sum map { sin($_) * cos($_ / 3) } 1 .. 3000 * $scale), "\n";
print "big ", Math::BigInt->new(7)->bpow(100 * $scale)->bmod(Math::BigInt->new(2)->bpow(127)->bdec), "\n";
print "fact ", Math::BigInt->new(60)->bfac, "\n";
print "reduce ", reduce { ($a * 31 + $b) % 1000003 } map { ord } split //, $text;
print "\npack ", unpack('H*', pack 'NnCa5w', 0xdeadbeef, 0x1234, 0x56, 'abc', 300), "\n";
my @closures = map { my $n = $_; sub { $n += $_[0] } } 1 .. 5;
print 'closures ', join(',', map { $_->(10); $_->(100) } @closures), "\n";
print "die: $@" if !defined eval { die "as it should\n" };
print 'sub-process ', `echo from a shell`, 'floor ', floor(-2.5), ' fmod ', fmod(-7, 3), "\n";
