"""The public layouts, in rows written for these tests with numbers of test cards."""

import csv
import io
from collections.abc import Iterable

from tests.card_numbers import NUMBERS

_SPARKOV_COLUMNS = (
    ",trans_date_trans_time,cc_num,merchant,category,amt,first,last,gender,street,city,state,zip,"
    "lat,long,city_pop,job,dob,trans_num,unix_time,merch_lat,merch_long,is_fraud"
)
SPARKOV_HEADER = _SPARKOV_COLUMNS.split(",")
STOLEN = NUMBERS[1]


def csv_text(header: list[str], rows: Iterable[Iterable[str]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([header, *rows])
    return text.getvalue()


def sparkov_row(**changed: str) -> list[str]:
    """Give a row in the layout of fraudTrain.csv."""
    row = dict.fromkeys(SPARKOV_HEADER, "0") | {
        "trans_date_trans_time": "2019-01-01 00:00:18",
        "cc_num": NUMBERS[0],
        "merchant": "fraud_Rippin, Kub and Mann",
        "category": "misc_net",
        "amt": "4.97",
        "city": "Moravian Falls",
        "trans_num": "0b242abb623afc578575680df30655b9",
        "merch_lat": "36.011293",
        "merch_long": "-82.048315",
    }
    return list((row | changed).values())


def sparkov(*rows: list[str]) -> str:
    return csv_text(SPARKOV_HEADER, rows)


THREE_ROWS = sparkov(
    sparkov_row(),
    sparkov_row(
        cc_num=STOLEN,
        trans_date_trans_time="2019-01-01 00:00:44",
        merchant="fraud_Heller, Gutmann and Zieme",
        category="grocery_pos",
        amt="107.23",
        trans_num="1f76529f8574734946361c461b024d99",
    ),
    sparkov_row(
        cc_num=NUMBERS[2],
        trans_date_trans_time="2019-01-01 00:00:51",
        category="entertainment",
        trans_num="a1a22d70485983eac12b5b88dad1cf95",
        is_fraud="1",
    ),
)

PAYSIM = """\
step,type,amount,nameOrig,oldbalanceOrg,newbalanceOrig,nameDest,oldbalanceDest,newbalanceDest,isFraud,isFlaggedFraud
1,PAYMENT,9839.64,C1231006815,170136.0,160296.36,M1979787155,0.0,0.0,0,0
1,TRANSFER,181.0,C1305486145,181.0,0.0,C553264065,0.0,0.0,1,0
"""

IEEE_CIS = """\
TransactionID,isFraud,TransactionDT,TransactionAmt,ProductCD,card1,card2,card3,card4,card5,card6,addr1
2987000,0,86400,68.5,W,13926,,150.0,discover,142.0,credit,315.0
2987001,1,86401,37.0985,C,2755,404.0,150.0,mastercard,102.0,credit,325.0
"""
