# Reads the output of one step; prints "PASSED FAILED". In the output of `ctest -V` each line of test K begins with "K: ":
# a program's own count (Criterion's synthesis or "N passed, N failed") stands for it, any other program counts as one test.
# Elsewhere the last line "N passed, N failed" counts.
{
    test = 0
    line = $0
    if (match(line, /^[0-9]+: /)) {
        test = substr(line, 1, RLENGTH) + 0
        line = substr(line, RLENGTH + 1)
    }
}
line ~ /Synthesis: Tested: / {
    gsub(/[^0-9 ]/, "", line)
    split(line, number, " ")
    counted[test] = 1
    passed[test] += number[2]
    failed[test] += number[3] + number[4]
}
line ~ /^[0-9]+ passed, [0-9]+ failed$/ {
    split(line, number, " ")
    counted[test] = 1
    passed[test] = number[1]
    failed[test] = number[3]
}
test == 0 && line ~ /^ *[0-9]+\/[0-9]+ Test +#[0-9]+: / {
    match(line, /#[0-9]+/)
    id = substr(line, RSTART + 1, RLENGTH - 1) + 0
    bad = line !~ / Passed +[0-9.]+ sec/
    if (!(id in counted)) {
        counted[id] = 1
        passed[id] = !bad
        failed[id] = bad
    } else if (bad && !failed[id]) {
        failed[id] = 1
    }
}
END {
    for (id in counted) {
        good += passed[id]
        wrong += failed[id]
    }
    print good + 0, wrong + 0
}
