from cnflow.prometheus_text import family, histogram, sample


def test_labels_are_escaped():
    assert sample("m", {"app": 'a"b\\c\nd'}, 1) == 'm{app="a\\"b\\\\c\\nd"} 1'


def test_large_and_small_values_keep_their_digits():
    assert sample("m", {}, 1_234_567_890) == "m 1234567890"
    assert sample("m", {}, 0.0005) == "m 0.0005"


def test_buckets_of_a_histogram_are_summed_up():
    assert list(histogram("m", {"a": "b"}, (0.1, 1.0), (3, 0, 2), 7.5)) == [
        'm_bucket{a="b",le="0.1"} 3',
        'm_bucket{a="b",le="1"} 3',
        'm_bucket{a="b",le="+Inf"} 5',
        'm_sum{a="b"} 7.5',
        'm_count{a="b"} 5',
    ]


def test_metric_without_values_is_described():
    assert family("m", "gauge", "Words", ()) == ["# HELP m Words", "# TYPE m gauge"]
