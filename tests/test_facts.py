"""What can be checked in a text: words, years, credits."""

from coldstart_utils.language import facts

TEXT = "Directed in 1987, a film directed by Rob J. Reiner and starring Mandy Patinkin-Smith; 123 of_us, 2049."


def test_words_are_lower_case_and_without_punctuation():
    assert facts.words("Don't_stop: É 12!") == ["don", "t", "stop", "é", "12"]


def test_years_are_four_digits_of_two_centuries():
    assert facts.years(TEXT) == ["1987", "2049"] and facts.years("in 18990") == []


def test_credits_need_a_role_and_a_whole_name():
    assert facts.credited(TEXT) == {"Rob J. Reiner", "Mandy Patinkin-Smith"}
    assert facts.credited("starring Cher; about Rob Reiner") == set()


def test_parts_make_up_the_text():
    shared, new = (facts.part_of("A war of stars", "Star Wars, a war", shared=s) for s in (True, False))
    assert (shared, new) == ("a war", "of stars")
