"""A module of the user's own, which travels as source."""

import dataclasses

callback = None


@dataclasses.dataclass
class Box:
    width: int
    height: int = 1

    def area(self):
        return self.width * self.height


def describe(box):
    return f"{type(box).__name__} of {box.area()}"


def called(value):
    return callback(value)


def counter(start):
    def count(step):
        return start + step

    return count
