"""Words that stand for a missing value.

Some mean a gap wherever they stand (`NA`, `NULL`). Others (`None`, `-`, `?`) may be a category of a column of words: they mean
a gap only in a column whose other cells are numbers, dates or times.
"""

from __future__ import annotations

# In every column, written like this.
EVERYWHERE = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NAN", "NaT", "null", "NULL", "Null")

# In a column of two words such as yes and no.
BESIDE_FLAGS = (*EVERYWHERE, "?", "-")

# In a column of numbers, dates or times, in lower case.
BESIDE_NUMBERS = (
    *("", "na", "n/a", "n.a.", "n.a", "#n/a", "#na", "<na>", "nan", "-nan", "nat", "null", "<null>", "(null)", "nil", "none"),
    *("\\n", ".", "..", "...", "-", "--", "---", "–", "—", "?", "??", "*", "missing", "unknown", "undefined", "blank", "empty"),
    *("not available", "not applicable", "no data", "n.d.", "n/d", "nd", "s/d", "k.a.", "k. a.", "keine angabe", "tbd"),
    *("#div/0!", "#value!", "#ref!", "#name?", "#num!", "#null!", "1.#qnan", "1.#ind", "-1.#ind"),
    *("0000-00-00", "0000-00-00 00:00:00"),
    *("无", "無", "空", "空值", "缺失", "缺", "未知", "不详", "不詳", "暂无", "没有", "无数据", "なし", "不明", "欠損", "없음"),
)
